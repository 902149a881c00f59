"""A record on its way through a handler, alone or in a batch."""

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import anyio
from attrs import define, field

from sdml_kafka.consuming.ledger import Chunk, Tenancy
from sdml_kafka.listener.delivery import Delivery
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.transport.fetched_record import RecordColumns
from sdml_kafka.transport.interfaces import Record

DONE = object()
"""Stands for the verdict of a handler that called `done()`."""


class Job(Delivery[Any]):
    """A record from the moment when it may begin until it has left; its handler's `Delivery`.

    A job that waits keeps its record alone of the parcel: the rest may be large, and finish
    earlier.
    """

    __slots__ = (
        "_at",
        "_records",
        "batch",
        "began",
        "begins_at",
        "due",
        "home",
        "key",
        "parse",
        "raw",
        "running_scope",
        "spec",
        "verdict",
    )

    begins_at: float
    """When a record of a retry topic may begin, by the clock of the event loop; others have none.
    """
    due: float
    running_scope: anyio.CancelScope | None

    def __init__(
        self, parcel: Parcel, at: int, home: "dict[object, deque[Job] | None] | None"
    ) -> None:
        """Begin with the first attempt."""
        self._chunk = parcel.chunk
        self._index = parcel.indices[at]
        self._records: Sequence[Record] | None = parcel.records
        self._at = at
        self._settled = False
        self.raw: Any = parcel.values[at]
        """The value, or what `parse` takes."""
        self.spec: CompiledSpec | None = parcel.spec
        self.parse: Callable[[Any], object] | None = parcel.parse
        """How the value is parsed; None if it is ready."""
        self.attempt = 1
        self.began: float = 0.0
        """When the handler began, by the clock of the event loop."""
        self.batch: JobBatch | None = None
        """The batch that the record is handled in, if any."""
        self.home: dict[object, deque[Job] | None] | None = home
        """The busy lanes of its tenancy, None if its record is free of order."""
        self.key: object = None
        """The key of its lane among these."""
        self.verdict: object = None
        """`DONE`, or the error that the handler failed this record with; None if it said nothing.
        """
        self.due = inf
        self.running_scope = None

    @property
    def tenancy(self) -> Tenancy:
        """The stay of the partition that this record belongs to."""
        return self._chunk.tenancy

    @property
    def is_gone(self) -> bool:
        """Whether the partition was revoked, so that nothing more may begin."""
        tenancy = self._chunk.tenancy
        return tenancy.withdrawn or not tenancy.open

    @property
    def record(self) -> Record:
        """The record as it came from Kafka, made when it is asked for first."""
        records = self._records
        if records is not None:
            at, self._records = self._at, None
            if isinstance(records, RecordColumns):
                self._record = records.record(at)
            else:
                self._record = records[at]
        return self._record

    @property
    def place(self) -> tuple[Chunk, int]:
        """The chunk that the record was delivered with, and its place there."""
        return self._chunk, self._index

    def keep_alone(self) -> None:
        """Let go of the other records of the parcel, since this one waits."""
        _ = self.record

    @property
    def offset(self) -> int:
        """The offset of the record."""
        return self._chunk.offsets[self._index]

    def set_value(self, value: object) -> None:
        """Note what the parser made of the record, for the handler."""
        self._value = value

    def finish(self) -> bool:
        """Finish the record; return False if it has been finished or given back already."""
        if self._settled:
            return False
        self._settled = True
        self._chunk.finish(self._index)
        return True

    def give_back(self) -> bool:
        """Give the record back, unfinished; return False if it was settled already."""
        if self._settled:
            return False
        self._settled = True
        self._chunk.give_back()
        return True

    def as_parcel(self) -> Parcel:
        """Return the record as one that waits for somebody to take it."""
        values, indices = (self.raw,), (self._index,)
        return Parcel(self._chunk, values, indices, (self.record,), self.spec, (), self.parse)

    def done(self) -> None:
        """Let the record finish when the handler ends, whatever becomes of the others."""
        if self.verdict is None:
            self.verdict = DONE

    def fail(self, error: Exception) -> None:
        """Fail the record when the handler ends, whatever becomes of the others."""
        if self.verdict is None:
            self.verdict = error

    def _give_back(self) -> None:
        """Leave the record to the handler's own end."""

    @property
    def jobs(self) -> "tuple[Job, ...]":
        """The record itself, as the one that is handled."""
        return (self,)


@define(eq=False)
class BatchLane:
    """The records of a partition, or of a key of it, that wait to be made a batch."""

    tenancy: Tenancy
    key: object
    is_ordered: bool
    """Whether one batch waits for the one before."""
    waiting: deque[Job] = field(factory=deque[Job], init=False)
    due: float = field(default=0.0, init=False)
    """When the first record that waits has waited long enough."""
    is_busy: bool = field(default=False, init=False)
    is_ready: bool = field(default=False, init=False)
    """Whether it stands in the line of the lanes that are ready."""


class JobBatch:
    """Records of one lane that are handled together."""

    __slots__ = ("_scope", "began", "due", "jobs", "lane", "open")

    def __init__(self, jobs: list[Job], lane: BatchLane) -> None:
        """Begin with the first attempt."""
        self.jobs: list[Job] = jobs
        """The records that have not left, or with the next attempt those that take part in it."""
        self.lane: BatchLane = lane
        self.open: int = len(jobs)
        """The number of records that have not left."""
        self.began: float = 0.0
        self.due: float = inf
        self._scope: anyio.CancelScope | None = None
        for job in jobs:
            job.batch = self

    @property
    def is_gone(self) -> bool:
        """Whether the partition was revoked, so that nothing more may begin."""
        return self.lane.tenancy.withdrawn or not self.lane.tenancy.open

    @property
    def tenancy(self) -> Tenancy:
        """The stay of the partition that the records belong to."""
        return self.lane.tenancy

    @property
    def running_scope(self) -> anyio.CancelScope | None:
        """The scope of the handler that runs, None if none does."""
        return self._scope

    @running_scope.setter
    def running_scope(self, scope: anyio.CancelScope | None) -> None:
        self._scope = scope
        for job in self.jobs:
            job.running_scope = scope


Item = Job | JobBatch
"""What a handler is called for."""
