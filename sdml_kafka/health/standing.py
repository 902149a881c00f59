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


MAX_LOOK_S = 0.5
"""Seconds between two looks, unless the event loop stood still meanwhile."""
FORGET_S = 15.0
"""Seconds after which records that timed out say nothing any more, unless others wait or the
brokers were away: then it is until one can be reached again."""


@define(eq=False)
class Silence:
    """Since when records have been on their way of which none was acknowledged."""

    _since: float | None = None
    _acknowledged: int = 0
    _timed_out: int = 0
    _timed_out_at: float = -inf
    _was_connected: bool = True

    def note(
        self,
        now: float,
        acknowledged: int,
        timed_out: int,
        waits_since: float | None,
        *,
        is_connected: bool,
    ) -> None:
        """Note how many have come to an end, and since when the oldest waits, None if none does.

        Those that the broker has refused are no sign of silence, those that timed out are.
        """
        if timed_out != self._timed_out:
            self._timed_out, self._timed_out_at = timed_out, now
        is_back, self._was_connected = is_connected and not self._was_connected, is_connected
        is_quiet = waits_since is None and (is_back or now - self._timed_out_at >= FORGET_S)
        if acknowledged != self._acknowledged or is_quiet:
            self._acknowledged, self._timed_out_at, self._since = acknowledged, -inf, None
        if self._since is None:
            self._since = waits_since

    def seconds(self, now: float) -> float | None:
        """Return how long it has lasted, None if nothing is on its way."""
        return None if self._since is None else now - self._since


@define(eq=False)
class Standstill:
    """Since when nothing moves in a partition: its lowest unfinished record, and what is taken."""

    taken_at: float = -inf
    """The time since which no further record was taken in hand, -inf if none ever was."""
    _looked_at: float = -inf
    _taken: int = 0
    _frontier: tuple[int, bool] | None = None
    _since: float = 0.0

    def note(
        self, now: float, delivered_at: float | None, frontier: int, taken: int, in_hand: int
    ) -> float | None:
        """Note what there is now, and return since when the lowest unfinished record stands.

        That is since it has been the lowest one, and since records are in hand or none is. What
        differs from the last look has changed right after that look, but not before the record was
        delivered.

        Args:
            now: The time of this look.
            delivered_at: When the lowest unfinished record was delivered, None if there is none.
            frontier: The offset of that record.
            taken: The number of records that were taken in hand so far.
            in_hand: The number of those that are in hand now.
        """
        changed_at = max(self._looked_at, now - MAX_LOOK_S)
        self._looked_at = now
        if taken != self._taken:
            self._taken, self.taken_at = taken, changed_at
        if delivered_at is None:
            self._frontier = None
            return None
        if self._frontier != (place := (frontier, in_hand > 0)):
            self._frontier, self._since = place, changed_at
        return max(self._since, delivered_at)


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
