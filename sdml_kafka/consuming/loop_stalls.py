"""Notice an event loop that stands still, from how late a timer fires. Pure."""

from collections import deque

from attrs import frozen

MAX_STALL_S = 5.0
"""Seconds that the loop may stand still without a word, if the group allows as much."""
MIN_STALL_S = 0.25
"""Seconds that count as standing still; less is how busy loops are."""
WINDOW_S = 30.0
MAX_SHARE = 0.5
"""The part of the window that the loop may stand still."""


@frozen
class Stall:
    """A standstill of the loop that is worth a line: it was too long, or came too often."""

    seconds: float
    """How long it stood still, in all."""
    times: int
    """How many times; 1 for one that was too long by itself."""


class LoopStalls:
    """Takes when a timer was due and when it fired, and decides whether that is too late."""

    def __init__(self, limit_s: float) -> None:
        """Begin with a loop that runs.

        Args:
            limit_s: Seconds that the loop may stand still before the group takes the partitions
                away. Half of them are worth a word.
        """
        self._too_long_s = min(MAX_STALL_S, limit_s / 2)
        self._recent: deque[tuple[float, float]] = deque()

    def fired(self, due: float, now: float) -> Stall | None:
        """Return what there is to say after a timer that was due at `due` fired at `now`."""
        late_s, recent = now - due, self._recent
        if late_s < MIN_STALL_S:
            return None
        if late_s >= self._too_long_s:
            return Stall(late_s, 1)
        recent.append((now, late_s))
        while recent[0][0] <= now - WINDOW_S:
            recent.popleft()
        total_s = sum(late for _, late in recent)
        if total_s <= MAX_SHARE * WINDOW_S:
            return None
        stall = Stall(total_s, len(recent))
        recent.clear()
        return stall
