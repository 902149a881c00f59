"""One loop's hand in a typed queue: it takes records one by one, parses and finishes them.

The hot path of the package. A record is parsed when it is handed out, since parsed values that wait
are dear: they leave the processor's caches, and the garbage collector looks at each. A record is
finished when the loop asks for the next one, but the ledger learns of a whole run at once: at the
end of a parcel, after `_run` records, before the loop waits, and whenever somebody is about to read
the ledger (`Readers.flush`).

The frames of a call live on in the error of a parser as long as a program keeps that. So they drop
the reader when they end: a loop that broke off must not keep its record in hand.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import anyio
import anyio.lowlevel

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.listener.batch_parser import GONE, NOT_CALLED, BatchParser, Unparsed
from sdml_kafka.listener.delivery import StreamDelivery
from sdml_kafka.listener.dropped import Dropped
from sdml_kafka.listener.typed_queue import Parcel, TypedQueue
from sdml_kafka.parsing.parsers import SKIP

MAX_UNBROKEN_S = 0.005
"""Seconds after which a loop whose body never waits lets the others run, for the heartbeats."""
MAX_RUN = 256
"""Records that a reader may take before the ledger learns of them."""

_NOTHING = Parcel(Chunk(Ledger().open("", 0, 0, 0, None), (), 0, bytearray(), 0.0), (), (), ())


class Readers:
    """All readers of a listener."""

    def __init__(
        self,
        parser: BatchParser,
        dropped: Dropped,
        max_run: int = MAX_RUN,
        make: "Callable[..., Reader[Any]] | None" = None,
        make_delivery: Callable[..., StreamDelivery[Any]] = StreamDelivery,
    ) -> None:
        """Begin without readers.

        Args:
            parser: What parses the records.
            dropped: Gives back what the program drops.
            max_run: The number of records that each may take before the ledger learns of it.
            make: Makes a reader of another kind than usual.
            make_delivery: Makes the deliveries.
        """
        self.make: Callable[..., Reader[Any]] = make or Reader
        self.make_delivery: Callable[..., StreamDelivery[Any]] = make_delivery
        self._all: WeakSet[Reader[Any]] = WeakSet()
        self.parser: BatchParser = parser
        self.dropped: Dropped = dropped
        self.max_run = max_run

    def add(self, reader: "Reader[Any]") -> None:
        """Count a reader in, as long as somebody holds it."""
        self._all.add(reader)

    def flush(self) -> None:
        """Bring the ledger up to date with every reader, which is due before each look at it."""
        self.dropped.settle()
        for reader in list(self._all):
            reader.flush()

    def stop_all(self) -> None:
        """Let no reader take another record."""
        for reader in list(self._all):
            reader.stop()


class Reader[T]:
    """One `async for`. When the loop breaks off, Python drops the reader: its record is given back.

    A reader takes from `parcel` as long as nobody else does: `parcel.next` is what it `expected`.
    The records from `_start` on have finished, but for the last one, which is in hand; if `_start`
    is `expected`, that one was handed over to a delivery. Those before `_counted` count as taken.
    """

    __slots__ = (
        "__weakref__",
        "_accepts",
        "_counted",
        "_is_closed",
        "_limit",
        "_parse",
        "_paused_at",
        "_queue",
        "_readers",
        "_run",
        "_start",
        "expected",
        "parcel",
    )

    def __init__(self, queue: TypedQueue, readers: Readers, is_closed: Callable[[], bool]) -> None:
        self._queue = queue
        self._readers = readers
        self._is_closed = is_closed
        self._paused_at = 0.0
        self._run = 1
        self._parse: Callable[[Any], object] | None = None
        self._accepts: object = None
        self.parcel: Parcel = _NOTHING
        self._start = self._limit = 0
        self.expected: int = 1
        self._counted = 1
        readers.add(self)

    def __aiter__(self) -> "Reader[T]":
        return self

    async def __anext__(self) -> T:
        """Return the next value, and finish the one before it."""
        while True:
            parcel = self.parcel
            index = parcel.next
            if index == self.expected and index < self._limit:
                parcel.next = self.expected = index + 1
            else:
                del parcel  # while this waits for others, nothing should keep these
                await self._next_run()
                parcel, index = self.parcel, self.expected - 1
            if self._parse is None:
                del self
                return parcel.values[index]  # type: ignore[return-value]  # a cast costs a call
            try:
                value: Any = self._parse(parcel.values[index])
            except Exception as error:
                value = Unparsed(error)
            except BaseException:  # the program is being interrupted: nobody has seen the record
                self.give_back()
                raise
            if value.__class__ is not self._accepts:
                value = await self._look_closer(value)
                if value is SKIP:
                    continue  # which finishes it
            del self  # whoever keeps a parser's error keeps this frame
            return value  # type: ignore[no-any-return]  # a cast costs a call

    def __del__(self) -> None:
        self._readers.dropped.undo(self.give_back)

    async def _next_run(self) -> None:
        """Finish the record in hand, and take the next one, at the beginning of a run."""
        self.finish()
        await self._pause()
        while (parcel := self._queue.head()) is None or self._queue.closed or self._is_closed():
            if self._queue.error is not None:
                raise self._queue.error
            if self._queue.closed or self._is_closed():
                raise StopAsyncIteration
            await self._queue.wait()
            self._paused_at = anyio.current_time()
        index = parcel.next
        parcel.chunk.tenancy.taken += 1
        self.parcel, self._start = parcel, index
        parcel.next = self.expected = self._counted = index + 1
        self._limit = min(parcel.end, index + self._run)
        self._parse = parcel.parse
        if parcel.spec is not None:
            self._accepts = parcel.spec.accepts

    async def _look_closer(self, value: object) -> object:
        """Return the value of the record in hand if it is right after all, else `SKIP`.

        It may be of a subclass, or awaitable; or the record did not parse.
        """
        parcel, at = self.parcel, self.expected - 1
        spec, record = parcel.spec, parcel.record(at)
        assert spec is not None
        parser = self._readers.parser
        try:
            if isinstance(value, Unparsed) and parcel.parse is spec.decode:
                value = NOT_CALLED  # the parser itself has more to say
            place = parcel.chunk, parcel.indices[at]
            if (found := await parser.settle_one(spec, record, value, *place)) is not GONE:
                return found
            self.give_back()
        except Exception:  # the listener is being stopped with it
            self.flush()
            self._drop_parcel()
            parcel.chunk.give_back()  # without handing the record to another loop
            while not (self._queue.closed or self._is_closed()):
                await self._queue.wait()  # and the next look at the queue raises its error
        except BaseException:  # cancelled while it was looked at
            self.give_back()
            raise
        finally:
            del self
        return SKIP

    async def _pause(self) -> None:
        """Let the others run if it is time, and fit the length of the next run to that time."""
        if anyio.current_time() > self._paused_at + MAX_UNBROKEN_S:
            self._run = max(1, self._run // 2)
            await anyio.lowlevel.checkpoint()
            self._paused_at = anyio.current_time()
        else:
            self._run = min(self._readers.max_run, self._run * 2)
            await anyio.lowlevel.checkpoint_if_cancelled()

    def flush(self) -> None:
        """Enter what has finished into the ledger; the record in hand has not."""
        in_hand, chunk = self.expected - 1, self.parcel.chunk
        if self.expected > self._counted:
            chunk.tenancy.taken += self.expected - self._counted
            self._counted = self.expected
        if in_hand > self._start:
            run = self.parcel.indices[self._start : in_hand]
            self._start = in_hand
            chunk.finish_run(run)

    def finish(self) -> None:
        """Finish everything, the record in hand included."""
        if self.parcel is not _NOTHING:
            self.flush()
            parcel, at, is_in_hand = self.parcel, self.expected - 1, self.expected > self._start
            self._drop_parcel()
            if is_in_hand:
                parcel.chunk.finish(parcel.indices[at])

    def give_back(self) -> None:
        """Give the record in hand back, unfinished."""
        if self.parcel is not _NOTHING:
            self.flush()
            parcel, at, is_in_hand = self.parcel, self.expected - 1, self.expected > self._start
            self._drop_parcel()
            if is_in_hand:
                self._queue.give_back(parcel, at)

    def take(self) -> tuple[Parcel, int]:
        """Hand the record in hand over to somebody who will finish it or give it back."""
        self.flush()  # records before it may have been skipped, which finished them
        self._start = self.expected
        return self.parcel, self.expected - 1

    def stop(self) -> None:
        """Take no more records; the record in hand may still finish."""
        self._limit = 0

    def _drop_parcel(self) -> None:
        self.parcel = _NOTHING
        self._start = self._limit = 0
        self.expected = self._counted = 1
