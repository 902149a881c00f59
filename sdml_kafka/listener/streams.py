"""Streams for programs to read: of parsed values, or of deliveries that they settle themselves."""

from collections.abc import AsyncIterator, Callable
from weakref import WeakSet

import anyio
import anyio.lowlevel

from sdml_kafka.errors import ClientClosed, StreamBusy
from sdml_kafka.listener.delivery import Delivery, StreamDelivery
from sdml_kafka.listener.reader import Reader, Readers
from sdml_kafka.listener.typed_queue import TypedQueue


class TypeStream[T]:
    """The records of one type, parsed: `async for value in stream`.

    Asking for the next item finishes the item before it. A loop that is broken off, raises or is
    cancelled gives its item back, and the next loop gets the item again. Several loops and several
    streams of one type share its records. A stream ends when it is closed or the listener is left.
    """

    def __init__(
        self,
        queue: TypedQueue,
        readers: Readers,
        on_close: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Use `KafkaListener.subscribe`, which makes streams."""
        self._queue = queue
        self._readers = readers
        self._on_close = on_close
        self._on_failure = on_failure
        self._closed = False
        self._own: WeakSet[Reader[T]] = WeakSet()
        self._by_hand: AsyncIterator[T] | None = None
        self._puller: int | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        """Begin a loop over the stream."""
        return self._reader()

    async def __anext__(self) -> T:
        """Return the next item without a loop, and finish the item before it.

        Raises:
            StreamBusy: Another task did so before, and its item would be finished by this call.
            StopAsyncIteration: The stream is closed meanwhile, or the listener was left.
            ClientClosed: The stream was closed before.
        """
        task = anyio.get_current_task().id
        if self._by_hand is None:
            self._by_hand, self._puller = aiter(self), task
        elif task != self._puller:
            raise StreamBusy(
                "Another task pulls this stream with anext(), and each call finishes the item "
                "before it. Loop with `async for` in each task instead: loops share the records."
            )
        next_item = anext(self._by_hand)
        del self  # whoever keeps a parser's error keeps this frame
        return await next_item

    def deliveries(self) -> AsyncIterator[Delivery[T]]:
        """Begin a loop over the same records, to be finished in any order, many at a time.

        Returns:
            An async iterator of `Delivery` objects, which several tasks may share.
        """
        make = self._readers.make_delivery
        return _Deliveries[T](self._reader(), self._new_reader, self._queue, self._on_failure, make)

    async def aclose(self) -> None:
        """Close this stream: its loops end, and items that are not finished are given back."""
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
        # Nobody can read the stream any more, and a fresh one would hold up commits for ever.
        if not self._closed:
            self._readers.dropped.undo(self._close)

    def let_go(self, task: int) -> None:
        """Give back the item that this task pulled with `anext()` and will not finish."""
        if task == self._puller:
            self._by_hand = self._puller = None

    async def __aenter__(self) -> "TypeStream[T]":
        """Return the stream, which is closed at the end of the `async with`."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the stream."""
        await self.aclose()

    def _reader(self) -> Reader[T]:
        if self._closed:
            raise ClientClosed("This stream is closed: subscribe again")
        return self._new_reader()

    def _new_reader(self) -> Reader[T]:
        reader: Reader[T] = self._readers.make(self._queue, self._readers, lambda: self._closed)
        self._own.add(reader)
        return reader


class _Deliveries[T]:
    """Several tasks may ask for the next delivery at once: each does with a reader of its own."""

    def __init__(
        self,
        reader: Reader[T],
        new_reader: Callable[[], Reader[T]],
        queue: TypedQueue,
        on_failure: Callable[[Exception], None],
        make: Callable[..., StreamDelivery[T]],
    ) -> None:
        self._reader: Reader[T] | None = reader
        """The reader of the last task, None while a task waits with it."""
        self._new_reader = new_reader
        self._queue = queue
        self._on_failure, self._make = on_failure, make

    def __aiter__(self) -> "_Deliveries[T]":
        return self

    async def __anext__(self) -> Delivery[T]:
        if (reader := self._reader) is None:
            reader = self._new_reader()
        self._reader = None
        try:
            value = await anext(reader)
            return self._make(value, *reader.take(), self._queue, self._on_failure)
        finally:
            self._reader = reader
