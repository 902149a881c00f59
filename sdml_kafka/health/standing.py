"""The place of a consumer: in its group or out of it, with brokers or without, since when."""

from math import inf

from attrs import define


@define(eq=False)
class Standing:
    """The place of a loop's consumer in its group, over all of the loop's lives."""

    group_id: str = ""
    """The consumer's group, empty before the first consumer."""
    is_member: bool = False
    """True if the consumer has an assignment, an empty one included."""
    was_member: bool = False
    """True if the consumer has ever had an assignment."""
    since: float | None = None
    """The time since which that is so, None before the first consumer."""

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


FORGET_S = 15.0
"""Seconds after which records that timed out say nothing any more, unless others wait."""


@define(eq=False)
class Silence:
    """Since when records have been on their way of which none was acknowledged."""

    _since: float | None = None
    _acknowledged: int = 0
    _timed_out: int = 0
    _timed_out_at: float = -inf

    def note(
        self, now: float, acknowledged: int, timed_out: int, waits_since: float | None
    ) -> None:
        """Note how many have come to an end, and since when the oldest waits, None if none does.

        Those that the broker has refused are no sign of silence, those that timed out are.
        """
        if timed_out != self._timed_out:
            self._timed_out, self._timed_out_at = timed_out, now
        is_quiet = waits_since is None and now - self._timed_out_at >= FORGET_S
        if acknowledged != self._acknowledged or is_quiet:
            self._acknowledged, self._timed_out_at, self._since = acknowledged, -inf, None
        if self._since is None:
            self._since = waits_since

    def seconds(self, now: float) -> float | None:
        """Return how long it has lasted, None if nothing is on its way."""
        return None if self._since is None else now - self._since


MAX_LOOK_S = 0.5
"""Seconds between two looks at connections, unless the event loop stood still meanwhile."""


class Outage:
    """Since when no broker can be reached."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._seen_up_at = -inf

    def note(self, now: float, *, is_connected: bool) -> None:
        """Note whether a broker can be reached now. The outage began after the last look."""
        if is_connected:
            self._seen_up_at, self._since = now, None
        elif self._since is None:
            self._since = max(self._seen_up_at, now - MAX_LOOK_S)

    def seconds(self, now: float) -> float | None:
        """Return how long no broker can be reached, None while one can or nobody has looked."""
        return None if self._since is None else now - self._since
