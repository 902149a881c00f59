"""What a program reads: a stream of parsed values, or of deliveries that it settles itself."""

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, cast
from weakref import WeakSet

import anyio
import anyio.lowlevel

from sdml_kafka.errors import ClientClosed, StreamBusy
from sdml_kafka.listener.reader import Reader, Readers
from sdml_kafka.listener.typed_queue import Parcel, TypedQueue


class TypeStream[T]:
    """The records of one type, parsed: `async for value in stream`.

    Asking for the next item says that the last one is finished. A loop that is broken off, raises
    or is cancelled gives its item back; the next loop gets it again. Several loops and several
    streams of one type share its records. It ends when the listener is left or it is closed.
    """

    def __init__(
        self,
        queue: TypedQueue,
        readers: Readers,
        on_close: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._queue = queue
        self._readers = readers
        self._on_close = on_close
        self._on_failure = on_failure
        self._closed = False
        self._own: WeakSet[Reader[T]] = WeakSet()
        self._by_hand: AsyncIterator[T] | None = None
        self._puller: int | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        return self._reader()

    async def __anext__(self) -> T:
        """The next item, without a loop: the one before it is finished then.

        Raises StreamBusy when another task did so before: its item would be finished by this.
        """
        task = anyio.get_current_task().id
        if self._by_hand is None:
            self._by_hand, self._puller = aiter(self), task
        elif task != self._puller:
            raise StreamBusy(
                "Another task pulls this stream with anext(), and each call finishes the item "
                "before it. Loop with `async for` in each task instead: loops share the records."
            )
        return await anext(self._by_hand)

    def deliveries(self) -> AsyncIterator["Delivery[T]"]:
        """The same records, to be finished in any order, many at a time: see `Delivery`."""
        return _Deliveries[T](self._reader(), self._queue, self._on_failure)

    async def aclose(self) -> None:
        """Close this stream: its loops end, what they had not finished is given back."""
        self._close()
        await anyio.lowlevel.checkpoint()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            for reader in list(self._own):
                reader.stop()
            self._by_hand = None
            self._on_close()
            self._queue.wake_all()

    def __del__(self) -> None:
        # Nobody can read it any more: a fresh one would hold up commits for ever.
        self._close()

    def let_go(self, task: int) -> None:
        """Give back what this task pulled with `anext()`: it will not finish it any more."""
        if task == self._puller:
            self._by_hand = self._puller = None

    async def __aenter__(self) -> "TypeStream[T]":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _reader(self) -> Reader[T]:
        if self._closed:
            raise ClientClosed("this stream is closed: subscribe again")
        reader = Reader[T](self._queue, self._readers, lambda: self._closed)
        self._own.add(reader)
        return reader


class Delivery[T]:
    """One record in a user's hands, until it is settled.

    `async with delivery:` finishes it when the body ends, fails it when the body raises, and
    gives it back when the body is cancelled. Or call `done()` or `fail(error)`. One that is
    dropped unsettled is given back.
    """

    __slots__ = ("_at", "_on_failure", "_parcel", "_queue", "_settled")

    def __init__(
        self, parcel: Parcel, at: int, queue: TypedQueue, on_failure: Callable[[Exception], None]
    ) -> None:
        self._settled = False
        self._parcel = parcel
        self._at = at
        self._queue = queue
        self._on_failure = on_failure

    @property
    def value(self) -> T:
        return cast(T, self._parcel.values[self._at])

    @property
    def record(self) -> Any:
        """The record as it came from Kafka."""
        return self._parcel.records[self._at]

    def done(self) -> None:
        """Finished: the record may be committed. Again is harmless."""
        if not self._settled:
            self._settled = True
            self._parcel.chunk.finish(self._parcel.indices[self._at])

    def fail(self, error: Exception) -> None:
        """Not finished: the listener stops with `error`, and the record comes again later."""
        if not self._settled:
            self._settled = True
            self._parcel.chunk.give_back()  # but to no other loop
            self._on_failure(error)

    def _give_back(self) -> None:
        if not self._settled:
            self._settled = True
            self._queue.give_back(self._parcel, self._at)

    async def __aenter__(self) -> "Delivery[T]":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.done()
        elif isinstance(error, Exception):
            self.fail(error)
        else:
            self._give_back()

    def __del__(self) -> None:
        self._give_back()


class _Deliveries[T]:
    def __init__(
        self, reader: Reader[T], queue: TypedQueue, on_failure: Callable[[Exception], None]
    ) -> None:
        self._reader = reader
        self._queue = queue
        self._on_failure = on_failure

    def __aiter__(self) -> "_Deliveries[T]":
        return self

    async def __anext__(self) -> Delivery[T]:
        await anext(self._reader)
        return Delivery(*self._reader.take(), self._queue, self._on_failure)
