"""One loop's hand in a typed queue: takes records one by one, and marks them finished in runs.

The hot path of the package. A record is finished when the loop asks for the next one, but the
ledger is told of a whole run at once: at the end of a parcel, after `_run` records, before the
loop waits, and whenever somebody is about to read the ledger (`Readers.flush`).
"""

from collections.abc import Callable
from typing import Any, cast
from weakref import WeakSet

import anyio
import anyio.lowlevel

from sdml_kafka.consuming.ledger import Chunk, Ledger
from sdml_kafka.listener.typed_queue import Parcel, TypedQueue

BREATH_S = 0.005
"""A loop whose body never waits lets the others run this often, so that heartbeats go on."""

_NOTHING = Parcel(Chunk(Ledger().open("", 0, 0, 0, None), (), 0, bytearray(), 0.0), (), (), ())


class Readers:
    """All readers of a listener."""

    def __init__(self) -> None:
        self._all: WeakSet[Reader[Any]] = WeakSet()
        self.most = 128
        """How many records a reader may take before it tells the ledger."""

    def add(self, reader: "Reader[Any]") -> None:
        self._all.add(reader)

    def flush(self) -> None:
        """Bring the ledger up to date with every reader; before each look at it."""
        for reader in list(self._all):
            reader.flush()


class Reader[T]:
    """One `async for`. Dropping it is how breaking off shows: then its record is given back.

    Takes from `parcel` while it is this reader's turn there: `expected` is the next one.

    Of the run that began at `_start`, the last record is in hand and those before have finished.
    """

    __slots__ = (
        "__weakref__",
        "_breathed_at",
        "_is_over",
        "_limit",
        "_queue",
        "_readers",
        "_run",
        "_start",
        "expected",
        "parcel",
    )

    def __init__(self, queue: TypedQueue, readers: Readers, is_over: Callable[[], bool]) -> None:
        self._queue = queue
        self._readers = readers
        self._is_over = is_over
        self._breathed_at = 0.0
        self._run = 1
        self.parcel: Parcel = _NOTHING
        self._start = self._limit = 0
        self.expected: int = 1
        readers.add(self)

    def __aiter__(self) -> "Reader[T]":
        return self

    async def __anext__(self) -> T:
        """The next value; the one before it is finished. StopAsyncIteration at the end."""
        parcel = self.parcel
        index = parcel.next
        if index == self.expected and index < self._limit:
            parcel.next = self.expected = index + 1
            return parcel.values[index]  # type: ignore[return-value]  # a cast costs a call
        return await self._next_run()

    def __del__(self) -> None:
        self.give_back()

    async def _next_run(self) -> T:
        self.finish()
        await self._breathe()
        while (parcel := self._queue.head()) is None or self._queue.closed or self._is_over():
            if self._queue.error is not None:
                raise self._queue.error
            if self._queue.closed or self._is_over():
                raise StopAsyncIteration
            await self._queue.wait()
            self._breathed_at = anyio.current_time()
        index = parcel.next
        parcel.chunk.tenancy.taken += 1
        self.parcel, self._start = parcel, index
        parcel.next = self.expected = index + 1
        self._limit = min(parcel.end, index + self._run)
        return cast(T, parcel.values[index])

    async def _breathe(self) -> None:
        """Let the others run if it is time, and take as many records next as fit that time."""
        if anyio.current_time() > self._breathed_at + BREATH_S:
            self._run = max(1, self._run // 2)
            await anyio.lowlevel.checkpoint()
            self._breathed_at = anyio.current_time()
        else:
            self._run = min(self._readers.most, self._run * 2)
            await anyio.lowlevel.checkpoint_if_cancelled()

    def flush(self) -> None:
        """Tell the ledger of what has finished; the record in hand has not."""
        in_hand = self.expected - 1
        if in_hand > self._start:
            run = self.parcel.indices[self._start : in_hand]
            self._start = in_hand
            self.parcel.chunk.tenancy.taken += len(run)
            self.parcel.chunk.finish_run(run)

    def finish(self) -> None:
        """The record in hand is finished too."""
        if self.parcel is not _NOTHING:
            self.flush()
            parcel, at = self.parcel, self.expected - 1
            self._let_go()
            parcel.chunk.finish(parcel.indices[at])

    def give_back(self) -> None:
        """The record in hand is not finished, and nobody's."""
        if self.parcel is not _NOTHING:
            self.flush()
            parcel, at = self.parcel, self.expected - 1
            self._let_go()
            self._queue.give_back(parcel, at)

    def take(self) -> tuple[Parcel, int]:
        """Hand the record in hand to somebody who will finish it or give it back."""
        parcel, at = self.parcel, self.expected - 1
        self._let_go()
        return parcel, at

    def stop(self) -> None:
        """Take no more; the record in hand may still finish."""
        self._limit = 0

    def _let_go(self) -> None:
        self.parcel = _NOTHING
        self._start = self._limit = 0
        self.expected = 1
