"""When a partition was seen to end where, which bounds a record's age without its timestamp.

A record at or behind an end that was seen came after that. A record before an end that was seen was
there by then. Both hold by this program's own clock, whatever clock wrote the timestamp.
"""

from math import inf

MAX_SIGHTINGS = 16
"""The number of sightings of a partition that are kept; fewer of them make the bounds wider."""


class EndSightings:
    """The ends that one partition was seen to have, and when."""

    __slots__ = ("_position", "_seen")

    def __init__(self, position: int) -> None:
        """Begin without any; `position` is the offset that the partition is read from."""
        self._position = position
        self._seen: list[tuple[int, float, float]] = []
        """Each end with the latest time at which it was certainly not yet exceeded, and the
        earliest at which it was certainly reached; in the order of the ends."""

    def note(self, end: int, earliest: float, latest: float) -> None:
        """Note that `end` was the partition's end at some time from `earliest` to `latest`."""
        seen = self._seen
        if seen and end < seen[-1][0]:
            seen.clear()  # another log: the topic was created anew, or has lost records
        if seen and end == seen[-1][0]:
            seen[-1] = (end, max(earliest, seen[-1][1]), seen[-1][2])
            return
        seen.append((end, earliest, latest))
        if len(seen) > MAX_SIGHTINGS:
            del seen[1:-1:2]

    def bounds(self, first: int, last: int, now: float) -> tuple[float, float]:
        """Return the times between which the records with offsets from `first` to `last` came.

        All of them came after the first time, minus infinity if that is not known, and were there
        at the second. Records are asked for in the order of their offsets; what led up to them is
        forgotten.
        """
        seen = self._seen
        if first < self._position:
            seen.clear()  # they come again, or are those of another log
        self._position = last + 1
        passed, after, there = 0, -inf, now
        for end, earliest, latest in seen:
            if end <= first:
                after = earliest
                passed += 1
            elif end > last:
                there = latest
                break
        if passed > 1:
            del seen[: passed - 1]
        return after, there
