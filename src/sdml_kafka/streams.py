"""What a program reads: a stream of parsed values, or of deliveries that it settles itself."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, cast
from weakref import WeakSet

import anyio
import anyio.lowlevel

from sdml_kafka.actors.typed_queue import Item, TypedQueue
from sdml_kafka.errors import ClientClosed, StreamBusy

BREATH_ITEMS = 32
BREATH_S = 0.005
"""A loop whose body never waits lets the others run this often, so that heartbeats go on."""


class TypeStream[T]:
    """The records of one type, parsed: `async for value in stream`.

    Asking for the next item says that the last one is finished. A loop that is broken off, raises
    or is cancelled gives its item back; the next loop gets it again. Several loops and several
    streams of one type share its records. It ends when the listener is left or it is closed.
    """

    def __init__(
        self,
        queue: TypedQueue,
        on_close: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._queue = queue
        self._on_close = on_close
        self._on_failure = on_failure
        self._closed = False
        self._loops: WeakSet[_Hand] = WeakSet()
        self._by_hand: _Loop[T] | None = None
        self._puller: int | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        return _Loop[T](self._hand())

    async def __anext__(self) -> T:
        """The next item, without a loop: the one before it is finished then.

        Raises StreamBusy when another task did so before: its item would be finished by this.
        """
        task = anyio.get_current_task().id
        if self._by_hand is None:
            self._by_hand, self._puller = _Loop[T](self._hand()), task
        elif task != self._puller:
            raise StreamBusy(
                "Another task pulls this stream with anext(), and each call finishes the item "
                "before it. Loop with `async for` in each task instead: loops share the records."
            )
        return await self._by_hand.__anext__()

    def deliveries(self) -> AsyncIterator["Delivery[T]"]:
        """The same records, to be finished in any order, many at a time: see `Delivery`."""
        return _Deliveries[T](self._hand(), self._on_failure)

    async def aclose(self) -> None:
        """Close this stream: its loops end, what they had not finished is given back."""
        if not self._closed:
            self._closed = True
            for loop in list(self._loops):
                loop.stop()
            self._by_hand = None
            self._on_close()
            self._queue.wake_all()
        await anyio.lowlevel.checkpoint()

    async def __aenter__(self) -> "TypeStream[T]":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def is_closed(self) -> bool:
        return self._closed

    def _hand(self) -> "_Hand":
        if self._closed:
            raise ClientClosed("this stream is closed: subscribe again")
        hand = _Hand(self._queue, self)
        self._loops.add(hand)
        return hand


class _Hand:
    """Takes items off the queue for one loop, as long as its stream is open."""

    __slots__ = ("__weakref__", "_breath_at", "_queue", "_stream", "items")

    def __init__(self, queue: TypedQueue, stream: TypeStream[Any]) -> None:
        self.items: deque[Item] = queue.items
        self._queue = queue
        self._stream = stream
        self._breath_at = 0.0

    async def wait(self) -> None:
        if not await self._queue.wait(self._stream.is_closed):
            if self._queue.error is not None:
                raise self._queue.error
            raise StopAsyncIteration
        self._breath_at = anyio.current_time() + BREATH_S

    async def breathe(self) -> None:
        now = anyio.current_time()
        if now > self._breath_at:
            await anyio.lowlevel.checkpoint()
            self._breath_at = now + BREATH_S
        else:
            await anyio.lowlevel.checkpoint_if_cancelled()

    def give_back(self, item: Item) -> None:
        self._queue.give_back(item)

    def stop(self) -> None:
        self.items = deque[Item]()


class _Loop[T]:
    """One `async for`. Dropping it is how breaking off shows, so its item is given back then."""

    __slots__ = ("_hand", "_item", "_until_breath")

    def __init__(self, hand: _Hand) -> None:
        self._hand = hand
        self._item: Item | None = None
        self._until_breath = BREATH_ITEMS

    def __aiter__(self) -> "_Loop[T]":
        return self

    async def __anext__(self) -> T:
        # Once for each record: nothing is called here that can be written out.
        item = self._item
        if item is not None:
            self._item = None
            item[0].finish(item[1])
        hand = self._hand
        self._until_breath -= 1
        if not self._until_breath:
            self._until_breath = BREATH_ITEMS
            await hand.breathe()
        items = hand.items
        if not items:
            await hand.wait()
        item = items.popleft()
        self._item = item
        item[0].tenancy.taken += 1
        return item[2]  # type: ignore[return-value]  # a cast would cost a call

    def __del__(self) -> None:
        if self._item is not None:
            self._hand.give_back(self._item)


class Delivery[T]:
    """One record in a user's hands, until it is settled.

    `async with delivery:` finishes it when the body ends, fails it when the body raises, and
    gives it back when the body is cancelled. Or call `done()` or `fail(error)`. One that is
    dropped unsettled is given back.
    """

    __slots__ = ("_hand", "_item", "_on_failure", "_settled")

    def __init__(self, item: Item, hand: _Hand, on_failure: Callable[[Exception], None]) -> None:
        self._item = item
        self._hand = hand
        self._on_failure = on_failure
        self._settled = False

    @property
    def value(self) -> T:
        return cast(T, self._item[2])

    @property
    def record(self) -> Any:
        """The record as it came from Kafka."""
        return self._item[3]

    def done(self) -> None:
        """Finished: the record may be committed. Again is harmless."""
        if not self._settled:
            self._settled = True
            self._item[0].finish(self._item[1])

    def fail(self, error: Exception) -> None:
        """Not finished: the listener stops with `error`, and the record comes again later."""
        if not self._settled:
            self._on_failure(error)
            self._give_back()

    def _give_back(self) -> None:
        if not self._settled:
            self._settled = True
            self._hand.give_back(self._item)

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
    __slots__ = ("_hand", "_on_failure", "_until_breath")

    def __init__(self, hand: _Hand, on_failure: Callable[[Exception], None]) -> None:
        self._hand = hand
        self._on_failure = on_failure
        self._until_breath = BREATH_ITEMS

    def __aiter__(self) -> "_Deliveries[T]":
        return self

    async def __anext__(self) -> Delivery[T]:
        hand = self._hand
        self._until_breath -= 1
        if not self._until_breath:
            self._until_breath = BREATH_ITEMS
            await hand.breathe()
        if not hand.items:
            await hand.wait()
        item = hand.items.popleft()
        item[0].tenancy.taken += 1
        return Delivery(item, hand, self._on_failure)
