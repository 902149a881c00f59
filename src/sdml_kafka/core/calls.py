"""The call table: who waits for which reply, and until when.

Pure. One owner; plain synchronous calls, each in constant time however many calls wait: deadlines
are kept in ticks, so that a call costs no timer and leaves nothing behind when it is over.
"""

from collections.abc import Iterator
from math import ceil, inf

from attrs import define, field

TICK_S = 0.01
"""How much later than its deadline a call may be found to be over, in seconds."""


@define(eq=False)
class Call:
    """One that waits. `due` is when it is over, in seconds of the owner's clock; `inf`: never.

    `key` is the caller's message key, by which a server that echoes only keys may answer; None
    when there is none, or when it is the id.
    """

    id: bytes
    due: float = inf
    key: bytes | None = None


class CallTable[C: Call]:
    def __init__(self) -> None:
        self._by_id: dict[bytes, C] = {}
        self._by_key: dict[bytes, dict[bytes, C]] = {}
        self._ticks: dict[int, dict[bytes, C]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[C]:
        return iter(list(self._by_id.values()))

    def add(self, call: C) -> bool:
        """False, and nothing changes: its id is in use."""
        if call.id in self._by_id:
            return False
        self._by_id[call.id] = call
        if call.key is not None:
            self._by_key.setdefault(call.key, {})[call.id] = call
        if call.due != inf:
            self._ticks.setdefault(_tick(call.due), {})[call.id] = call
        return True

    def remove(self, call: C) -> bool:
        """False: it was over already."""
        if self._by_id.get(call.id) is not call:
            return False
        del self._by_id[call.id]
        if call.key is not None:
            _drop(self._by_key, call.key, call.id)
        if call.due != inf:
            _drop(self._ticks, _tick(call.due), call.id)
        return True

    def get(self, id_: bytes) -> C | None:
        return self._by_id.get(id_)

    def with_key(self, key: bytes) -> tuple[C, ...]:
        """The calls that a reply with this key and no id may be meant for."""
        if (call := self._by_id.get(key)) is not None:
            return (call,)
        return tuple(self._by_key.get(key, {}).values())

    def next_due(self) -> float | None:
        """When to look for the next call that is over; None while none has a deadline."""
        return min(self._ticks) * TICK_S if self._ticks else None

    def take_due(self, now: float) -> list[C]:
        """Remove those whose deadline has passed."""
        last = int(now / TICK_S + 1e-6)
        over = [
            call
            for tick in sorted(tick for tick in self._ticks if tick <= last)
            for call in list(self._ticks[tick].values())
        ]
        for call in over:
            self.remove(call)
        return over


def _tick(due: float) -> int:
    return ceil(due / TICK_S)


def _drop[K, C: Call](groups: dict[K, dict[bytes, C]], group: K, id_: bytes) -> None:
    members = groups[group]
    del members[id_]
    if not members:
        del groups[group]
