"""The call table: who waits for which reply, and until when.

Pure. One owner; plain synchronous calls, whose cost does not grow with how many calls wait.
Deadlines are kept in ticks: a call costs no timer, and leaves nothing behind when it is over.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from math import ceil, inf

from attrs import define, field

TICK_S = 1 / 128
"""How much later than its deadline a call may be found to be over, in seconds. A power of two: no
sum below is ever rounded, so that nothing is early, and nothing is due that is not found."""

SPARE_TICKS = 64


@define(eq=False)
class Call:
    """One that waits. `due` is when it is over, in seconds of the owner's clock; `inf`: never.

    `key` is the caller's message key, by which a server that echoes only keys may answer; None
    when there is none, or when it is the id. All three stay as they are while it waits.
    """

    id: bytes
    due: float = inf
    key: bytes | None = None
    tick: int | None = field(default=None, init=False)
    """The table's; None: never over."""


class CallTable[C: Call]:
    def __init__(self) -> None:
        self._by_id: dict[bytes, C] = {}
        self.get: Callable[[bytes], C | None] = self._by_id.get
        """The call with this id."""
        self._by_key: dict[bytes, dict[bytes, C]] = {}
        self._by_tick: dict[int, dict[bytes, C]] = {}
        self._ticks: list[int] = []
        """A heap of the above, and of some that nobody waits for any more."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[C]:
        """Those that wait now; they may be removed meanwhile."""
        return iter(list(self._by_id.values()))

    def add(self, call: C) -> bool:
        """False, and nothing changes: its id is in use."""
        if call.id in self._by_id:
            return False
        ticks = call.due / TICK_S
        tick = call.tick = ceil(ticks) if ticks != inf else None  # the first that is not before
        self._by_id[call.id] = call
        if call.key is not None:
            self._by_key.setdefault(call.key, {})[call.id] = call
        if tick is not None:
            if (together := self._by_tick.get(tick)) is not None:
                together[call.id] = call
            else:
                self._by_tick[tick] = {call.id: call}
                heappush(self._ticks, tick)
        return True

    def remove(self, call: C) -> bool:
        """False: it was over already."""
        if self._by_id.get(call.id) is not call:
            return False
        self._forget(call)
        if call.tick is not None:
            _drop(self._by_tick, call.tick, call)
            if len(self._ticks) > 2 * len(self._by_tick) + SPARE_TICKS:
                self._ticks = list(self._by_tick)
                heapify(self._ticks)
        if not self._by_id:
            self._shrink()
        return True

    def with_key(self, key: bytes) -> tuple[C, ...]:
        """The calls that a reply with this key and no id may be meant for: none, the only one, or
        two of several."""
        by_id = self._by_id.get(key)
        by_key = islice(self._by_key.get(key, {}).values(), 2)
        distinct = dict.fromkeys(by_key if by_id is None else (by_id, *by_key))
        return tuple(distinct)[:2]

    def next_due(self) -> float | None:
        """When `take_due` next has something to give; None while no call has a deadline."""
        while self._ticks and self._ticks[0] not in self._by_tick:
            heappop(self._ticks)
        return self._ticks[0] * TICK_S if self._ticks else None

    def take_due(self, now: float) -> list[C]:
        """Remove those whose deadline has passed, by `TICK_S` for certain."""
        over: list[C] = []
        while self._ticks and self._ticks[0] * TICK_S <= now:
            over += self._by_tick.pop(heappop(self._ticks), {}).values()
        for call in over:
            self._forget(call)
        if not self._by_id:
            self._shrink()
        return over

    def _forget(self, call: C) -> None:
        del self._by_id[call.id]
        if call.key is not None:
            _drop(self._by_key, call.key, call)

    def _shrink(self) -> None:
        """A dict that is empty is as large as it ever was, until it is cleared."""
        self._by_id.clear()
        self._by_key.clear()
        self._by_tick.clear()
        self._ticks.clear()


def _drop[K, C: Call](groups: dict[K, dict[bytes, C]], group: K, call: C) -> None:
    members = groups[group]
    del members[call.id]
    if not members:
        del groups[group]
