"""Calls hooks for the records of a processor: its handlers, and what becomes of their records."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, overload

from sdml_kafka.hooks.calls import Hooks, TimeHandler
from sdml_kafka.hooks.events import DeadLettered, Retried
from sdml_kafka.hooks.participation import Handling, Purpose
from sdml_kafka.hooks.receipts import take_part
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import Record


class Attempted(Protocol):
    """A record on its way through a handler."""

    attempt: int
    parcel: Parcel
    at: int
    handling: Handling
    """The latest attempt, if there was one that hooks took part in."""
    verdict: object

    @property
    def record(self) -> Record: ...


class RecordsOf(Sequence[Record]):
    """The records of a batch, made when somebody asks for them."""

    def __init__(self, places: Sequence[tuple[Parcel, int]]) -> None:
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return RecordsOf(self._places[index])
        parcel, at = self._places[index]
        records = parcel.records
        return records.record(at) if type(records) is RecordColumns else records[at]


MAX_DURATIONS = 1000
"""The number of durations of handlers that a processor's status is made of."""


class _TimedDurations(deque[float]):
    """Durations of handlers that hooks measure as well."""

    def __init__(self, time_handler: TimeHandler, name: str) -> None:
        super().__init__(maxlen=MAX_DURATIONS)
        self._time_handler, self._name = time_handler, name

    def append(self, seconds: float) -> None:
        super().append(seconds)
        self._time_handler("listener", self._name, seconds)


class RecordHooks:
    """The hooks of one processor; its name is empty for records that did not parse."""

    def __init__(self, hooks: Hooks, name: str) -> None:
        self._hooks = hooks
        self._name = name
        self.takes_part: bool = hooks.sending is not None
        """True if hooks take part in messages."""

    def durations(self) -> deque[float]:
        """Return what takes the durations of the processor's handlers, and keeps the last ones."""
        time_handler = self._hooks.time_handler
        if time_handler is None:
            return deque(maxlen=MAX_DURATIONS)
        return _TimedDurations(time_handler, self._name)

    def around(self, call: Callable[..., Awaitable[object]], *, takes_batches: bool) -> Any:
        """Return what calls a handler inside of what hooks enter, or the call itself."""
        enter = self._hooks.enter
        if enter is None:
            return call

        async def call_one(value: object, job: Attempted) -> object:
            job.handling = handling = Handling(
                self._hooks.origin, self._name, (job.record,), job.attempt
            )
            leave = enter(handling)
            try:
                result = await call(value, job)
            except BaseException as error:
                leave(error)
                raise
            leave(_failed_with(job))
            return result

        async def call_batch(jobs: list[Attempted]) -> object:
            records = RecordsOf([(job.parcel, job.at) for job in jobs])
            handling = Handling(
                self._hooks.origin, self._name, records, jobs[0].attempt, is_batch=True
            )
            for job in jobs:
                job.handling = handling
            leave = enter(handling)
            try:
                result = await call(list(jobs))
            except BaseException as error:
                leave(error)
                raise
            leave(next(filter(None, map(_failed_with, jobs)), None))
            return result

        return call_batch if takes_batches else call_one

    def retried(
        self, job: Attempted, error: Exception, attempt: int, delay_s: float, topic: str | None
    ) -> None:
        """Call hooks for a record that is tried again."""
        if (retried := self._hooks.retried) is not None:
            record, name = job.record, self._name
            retried(Retried(self._hooks.origin, name, record, error, attempt, delay_s, topic))

    def dead_lettered(self, job: Attempted, error: Exception, topic: str) -> None:
        """Call hooks for a record whose dead letter was acknowledged."""
        if (dead_lettered := self._hooks.dead_lettered) is not None:
            dead_lettered(DeadLettered(self._hooks.origin, self._name, job.record, error, topic))

    def take_part(self, message: Message, purpose: Purpose, job: Attempted) -> Message:
        """Return the message of a record as it is to be sent; see `take_part` of the receipts."""
        if not self.takes_part:
            return message
        handling = getattr(job, "handling", None)
        return take_part(self._hooks, message, purpose, handling, job.record)


def _failed_with(job: Attempted) -> Exception | None:
    return job.verdict if isinstance(job.verdict, Exception) else None
