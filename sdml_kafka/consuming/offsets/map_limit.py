"""Decide which records may begin, so that an offset map does not become too long. Pure.

How this works. A map that becomes too long would be lost, so from some offset on a record begins
only after a look at how long the map is. Its cost follows the unfinished, so there is one look for
every `LOOK_EVERY` offsets at most, and none while what has finished is less than `ALWAYS_FITS`
ahead. A transaction relies on the map: if it must fit, nothing begins at all further ahead than
always fits.
"""

from typing import Protocol

from sdml_kafka.consuming.offsets.offset_map import (
    ALWAYS_FITS,
    FULL_TEXT,
    INTERVAL_TEXT,
    MAX_SPAN,
    MAX_TEXT,
    Interval,
    encode,
)

LOOK_EVERY = (MAX_TEXT - FULL_TEXT) * 3 // 16
"""The offsets that are begun at least between two looks at how long the offset map is. An offset
lengthens a map by four bytes at most, so that what is left above `FULL_TEXT` takes as many."""


class Ahead(Protocol):
    """The records that have finished beyond the frontier of a tenancy."""

    must_fit: bool

    def frontier(self) -> int: ...

    def count_intervals(self) -> int:
        """Return how many intervals `finished_ahead` has, at most."""
        ...

    def finished_ahead(self) -> list[Interval]: ...


class MapLimit:
    """Looks at how long the offset map of one tenancy is, now and then."""

    def __init__(self) -> None:
        self.looks_from: int = 0
        """How far the frontier has to come before the length of a map that is full is looked at."""
        self._in_order_below = 0
        """The offset up to which records begin at the frontier alone."""

    def look(self, offset: int, ahead: Ahead) -> int:
        """Return the offset from which on nothing may begin, or before another look.

        The record with `offset` may begin if it lies below.
        """
        frontier = ahead.frontier()
        begins_below, self.looks_from = frontier + ALWAYS_FITS, 0
        if ahead.must_fit and frontier < self._in_order_below:
            begins_below = frontier + 1
        if offset < begins_below or ahead.must_fit:
            return begins_below
        most = INTERVAL_TEXT * ahead.count_intervals()
        if most <= FULL_TEXT and offset - frontier < MAX_SPAN // 2:
            # It is not full, whatever it looks like: to write it would take much longer.
            return offset + max(LOOK_EVERY, (FULL_TEXT - most) * 3 // 16)
        finished = ahead.finished_ahead()
        text = encode(frontier, finished)
        end = max(finished[-1][1] if finished else frontier, begins_below)
        if text is None or len(text) > FULL_TEXT:
            # While the same records as now are in front, the map gets no shorter.
            self.looks_from = min(finished[0][0], frontier + LOOK_EVERY)
            return end
        return max(end, offset) + max(LOOK_EVERY, (FULL_TEXT - len(text)) * 3 // 16)

    def begin_in_order(self, below: int) -> None:
        """Let records begin at the frontier alone, one after another, up to this offset."""
        self._in_order_below = below
