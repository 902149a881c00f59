"""Where a consumer stands: in its group or out of it, with brokers or without, and since when."""

from attrs import define


@define(eq=False)
class Standing:
    """Where the consumer of a loop stands, over all of the loop's lives."""

    group_id: str = ""
    """The consumer's group, empty before the first consumer."""
    is_member: bool = False
    """Whether the consumer has an assignment, an empty one included."""
    was_member: bool = False
    """Whether it has ever had one."""
    since: float | None = None
    """When that began, None before the first consumer."""

    def begins(self, group_id: str, now: float) -> None:
        """Note that a new consumer joins the group."""
        self.group_id, self.is_member, self.since = group_id, False, now

    def joined(self, now: float) -> None:
        """Note that the consumer has got an assignment."""
        if not self.is_member:
            self.is_member, self.was_member, self.since = True, True, now

    def left(self, now: float) -> None:
        """Note that the consumer has no assignment any more."""
        if self.is_member:
            self.is_member, self.since = False, now


class Outage:
    """Since when no broker can be reached."""

    def __init__(self) -> None:
        self._since: float | None = None

    def note(self, now: float, *, is_connected: bool) -> None:
        """Note whether a broker can be reached now."""
        if is_connected:
            self._since = None
        elif self._since is None:
            self._since = now

    def seconds(self, now: float) -> float | None:
        """Return how long no broker can be reached, None while one can or nobody has looked."""
        return None if self._since is None else now - self._since
