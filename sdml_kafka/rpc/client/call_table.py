"""The call table: which calls wait for their replies, and until when.

The table is pure and has one owner. The cost of its methods does not grow with the number of calls
that wait. Deadlines are kept in ticks: a call costs no timer, and leaves nothing behind.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from math import ceil, inf

from attrs import define, field

TICK_S = 1 / 128
"""Seconds after its deadline by which a call is found to be over. The number is a power of two, so
that no product below is rounded: no call ends early, and none that is due is missed."""

SPARE_TICKS = 64
"""The number of ticks without calls that the heap may always hold."""


@define(eq=False)
class Call:
    """A call that waits. Its id, deadline and key stay as they are meanwhile."""

    id: bytes
    due: float = inf
    """The deadline, in seconds of the owner's clock; `inf` for a call without one."""
    key: bytes | None = None
    """The caller's message key, by which a server that echoes only keys may answer; None when there
    is none, or when the key is the id."""
    tick: int | None = field(default=None, init=False)
    """The first tick that is not before the deadline; set by the table."""


class CallTable[C: Call]:
    """The calls that wait, by their ids, their keys and their deadlines."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, C] = {}
        self.get: Callable[[bytes], C | None] = self._by_id.get
        """Returns the call with this id, or None."""
        self._by_key: dict[bytes, dict[bytes, C]] = {}
        self._by_tick: dict[int, dict[bytes, C]] = {}
        self._ticks: list[int] = []
        """A heap of the ticks above, and of some whose calls are all over."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[C]:
        """Iterate over the calls that wait now; they may be removed meanwhile."""
        return iter(list(self._by_id.values()))

    def oldest(self, most: int) -> list[C]:
        """Return the calls that have waited longest, the first one first."""
        return list(islice(self._by_id.values(), most))

    def add(self, call: C) -> bool:
        """Add a call; return False, and change nothing, if its id is in use."""
        id_ = call.id
        if id_ in self._by_id:
            return False
        ticks = call.due / TICK_S
        tick = call.tick = ceil(ticks) if ticks != inf else None
        self._by_id[id_] = call
        if call.key is not None:
            self._by_key.setdefault(call.key, {})[id_] = call
        if tick is not None:
            if (together := self._by_tick.get(tick)) is not None:
                together[id_] = call
            else:
                self._by_tick[tick] = {id_: call}
                heappush(self._ticks, tick)
        return True

    def remove(self, call: C) -> bool:
        """Remove a call; return False if it does not wait any more."""
        id_, tick = call.id, call.tick
        if self._by_id.get(id_) is not call:
            return False
        del self._by_id[id_]
        if call.key is not None:
            _drop(self._by_key, call.key, call)
        if tick is not None:
            together = self._by_tick[tick]
            del together[id_]
            if not together:
                del self._by_tick[tick]
                if len(self._ticks) > 2 * len(self._by_tick) + SPARE_TICKS:
                    self._ticks = list(self._by_tick)
                    heapify(self._ticks)
        if not self._by_id:
            self._shrink()
        return True

    def with_key(self, key: bytes) -> tuple[C, ...]:
        """Return the calls that a reply with this key and without an id may be meant for.

        These are none, the only one, or two of several.
        """
        by_id = self._by_id.get(key)
        by_key = islice(self._by_key.get(key, {}).values(), 2)
        distinct = dict.fromkeys(by_key if by_id is None else (by_id, *by_key))
        return tuple(distinct)[:2]

    def next_due(self) -> float | None:
        """Return when `take_due` next finds a call; None while no call has a deadline."""
        while self._ticks and self._ticks[0] not in self._by_tick:
            heappop(self._ticks)
        return self._ticks[0] * TICK_S if self._ticks else None

    def take_due(self, now: float) -> list[C]:
        """Remove and return the calls whose deadline has passed, by `TICK_S` at the latest."""
        over: list[C] = []
        while self._ticks and self._ticks[0] * TICK_S <= now:
            over += self._by_tick.pop(heappop(self._ticks), {}).values()
        for call in over:
            del self._by_id[call.id]
            if call.key is not None:
                _drop(self._by_key, call.key, call)
        if not self._by_id:
            self._shrink()
        return over

    def _shrink(self) -> None:
        # An empty dict is as large as it ever was, until it is cleared.
        self._by_id.clear()
        self._by_key.clear()
        self._by_tick.clear()
        self._ticks.clear()


def _drop[K, C: Call](groups: dict[K, dict[bytes, C]], group: K, call: C) -> None:
    members = groups[group]
    del members[call.id]
    if not members:
        del groups[group]
