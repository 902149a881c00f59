"""One record in a user's hands."""

from collections.abc import Callable
from types import TracebackType

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.typed_queue import Parcel, TypedQueue
from sdml_kafka.transport.interfaces.records import Record


class Delivery[T]:
    """One record in a user's hands, until it is finished, failed or given back.

    `async with delivery:` finishes the record when the body ends, fails it when the body raises,
    and gives it back when the body is cancelled. Otherwise call `done()` or `fail(error)`.

    Of a stream (`TypeStream.deliveries`) a delivery that is dropped with neither is given back. In
    a handler (`KafkaListener.process`) what the handler does decides: its end finishes a record
    that it has not settled, an error fails it. What was settled takes effect at the handler's end.
    """

    __slots__ = ("_value", "attempt")

    _value: T
    attempt: int
    """The number of times that the record has been tried, this one included: 1, 2, ..."""

    @property
    def value(self) -> T:
        """The value that the parser made of the record."""
        return self._value

    @property
    def record(self) -> Record:
        """The record as it came from Kafka (aiokafka's `ConsumerRecord`)."""
        raise NotImplementedError

    def done(self) -> None:
        """Finish the record, so that it may be committed. Calling it again is harmless."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Fail the record.

        Of a stream: stop the listener; the record is not finished and comes again later. In a
        handler: do what the processor's policies say of the error.

        Args:
            error: What the record has failed with.

        Raises:
            TypeError: It is not an exception, or one of those that end a program or a task.
        """
        raise NotImplementedError

    def _give_back(self) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> "Delivery[T]":
        """Return the delivery, which is settled at the end of the `async with`."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the record, or fail it, or give it back if the body was cancelled."""
        if error is None:
            self.done()
        elif isinstance(error, Exception):
            self.fail(error)
        else:
            self._give_back()


class StreamDelivery[T](Delivery[T]):
    """A record of a stream."""

    __slots__ = ("_chunk", "_index", "_on_failure", "_queue", "_record", "_settled", "_sharers")

    _chunk: Chunk[Tenancy]
    _index: int
    _record: Record
    _settled: bool

    def __init__(
        self,
        value: T,
        parcel: Parcel,
        at: int,
        queue: TypedQueue,
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Use `TypeStream.deliveries`, which makes deliveries."""
        # Of the parcel only what belongs to this record: the rest may be large, and finish earlier.
        self._settled = False
        self._value = value
        self._record = parcel.record(at)
        self._chunk = parcel.chunk
        self._index = parcel.indices[at]
        self._sharers = parcel.sharers
        self._queue = queue
        self._on_failure = on_failure
        self.attempt = 1

    @property
    def record(self) -> Record:
        """The record as it came from Kafka (aiokafka's `ConsumerRecord`)."""
        return self._record

    def done(self) -> None:
        """Finish the record, so that it may be committed. Calling it again is harmless."""
        if not self._settled:
            self._settled = True
            self._chunk.finish(self._index)

    def fail(self, error: Exception) -> None:
        """Stop the listener with an error; the record is not finished and comes again later."""
        check_error(error)
        if not self._settled:
            self._settled = True
            self._chunk.give_back()  # without handing the record to another loop
            self._on_failure(error)

    def _give_back(self) -> None:
        if not self._settled:
            self._settled = True
            parcel = Parcel(
                self._chunk, (self._value,), (self._index,), (self._record,), None, self._sharers
            )
            self._queue.give_back(parcel, 0)

    def __del__(self) -> None:
        if not self._settled:
            self._queue.dropped.undo(self._give_back_dropped)

    def _give_back_dropped(self) -> None:
        self._give_back()
        self._queue.dropped.count(self._record)


def check_error(error: object) -> None:
    """Check what a record is said to have failed with.

    Raises:
        TypeError: It is not an exception, or one of those that end a program or a task.
    """
    if not isinstance(error, Exception):
        raise TypeError(f"fail() takes an Exception, not {error!r:.300}")
