"""Loops over streams whose records hooks want to know, and deliveries that they take part in."""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Any
from weakref import ref

from sdml_kafka.hooks.calls import Hooks, Leave
from sdml_kafka.hooks.participation import IN_HAND, Handling
from sdml_kafka.listener.delivery import Delivery, StreamDelivery
from sdml_kafka.listener.reader import Reader
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.parsing.type_checks import name_of
from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.interfaces.records import Record


def _record_in_hand(
    reader: "Callable[[], HookedReader[Any] | None]", expected: int, parcel: ref[Parcel]
) -> Record | None:
    """Return a loop's record unless it has gone on, or broke off and was not kept by anybody."""
    now = reader()
    if now is None or now.expected != expected or now.parcel is not parcel():
        return None
    return now.record_in_hand()


class HookedReader[T](Reader[T]):
    """One `async for` whose body may ask which record it has in hand."""

    __slots__ = ()

    async def __anext__(self) -> T:
        """Return the next value, and finish the one before it."""
        next_item, reader = super().__anext__(), ref(self)
        del self  # whoever keeps a parser's error keeps this frame
        value = await next_item
        if (now := reader()) is not None:
            # No object of a class of its own, which takes three times as long.
            IN_HAND.set(partial(_record_in_hand, reader, now.expected, ref(now.parcel)))
        return value

    def record_in_hand(self) -> Record | None:
        """Return the record in hand, None if there is none or a delivery has it."""
        at = self.expected - 1
        if at < self._start or at >= len(self.parcel.records):
            return None
        records = self.parcel.records
        return records.record(at) if type(records) is RecordColumns else records[at]


class HookedDelivery[T](StreamDelivery[T]):
    """A record of a stream; hooks take part in the body of its `async with`."""

    __slots__ = ("_began", "_hooks", "_leave", "_name")

    _began: float
    _leave: Leave | None

    def __init__(self, hooks: Hooks, *parts: Any) -> None:
        """Use `TypeStream.deliveries`, which makes deliveries."""
        super().__init__(*parts)
        self._hooks = hooks
        self._name = name_of(self._queue.type)

    async def __aenter__(self) -> Delivery[T]:
        """Return the delivery, inside of what hooks enter."""
        hooks, self._leave = self._hooks, None
        if (enter := hooks.enter) is not None:
            self._leave = enter(Handling(hooks.origin, self._name, (self.record,), self.attempt))
        self._began = perf_counter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what hooks have entered, and settle the record."""
        if (time_handler := self._hooks.time_handler) is not None:
            time_handler("listener", self._name, perf_counter() - self._began)
        if self._leave is not None:
            self._leave(error)
        await super().__aexit__(kind, error, trace)


type MakeReader = Callable[..., Reader[Any]]
type MakeDelivery = Callable[..., StreamDelivery[Any]]


def loops_with(hooks: Hooks) -> tuple[MakeReader, MakeDelivery]:
    """Return what makes the readers and the deliveries of streams."""
    # Plain classes, since calling one with its type argument takes several times as long.
    make: MakeReader = HookedReader if hooks.wants_record_in_hand else Reader
    plain: MakeDelivery = StreamDelivery
    if hooks.enter is None and hooks.time_handler is None:
        return make, plain
    return make, partial(HookedDelivery[Any], hooks)
