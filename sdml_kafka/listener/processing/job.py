"""A record on its way through a handler, alone or in a batch."""

from collections import deque
from collections.abc import Iterable
from itertools import groupby
from math import inf
from operator import attrgetter
from typing import Any

import anyio
from attrs import define, field

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.hooks.participation import Handling
from sdml_kafka.listener.batch_parser import Unparsed
from sdml_kafka.listener.delivery import Delivery, check_error
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.interfaces.records import Record, TopicPartition

DONE = object()
"""Stands for the verdict of a handler that called `done()`."""


class Job(Delivery[Any]):
    """A record from the moment when it may begin until it has left; its handler's `Delivery`.

    It has no constructor but `new_job`, since one that Python calls takes twice as long.
    """

    __slots__ = (
        "_made",
        "at",
        "batch",
        "began",
        "begins_at",
        "handling",
        "home",
        "is_settled",
        "key",
        "parcel",
        "running_scope",
        "verdict",
    )

    parcel: Parcel
    """The parcel that the record came with."""
    at: int
    """The place of the record in the parcel."""
    home: "dict[object, Any] | None"
    """The busy lanes of its tenancy, None if its record is free of order."""
    key: object
    """The key of its lane among these."""
    is_settled: bool
    """True if the record has finished or was given back."""
    verdict: object
    """`DONE`, or the error that the handler failed this record with; None if it said nothing."""
    batch: "JobBatch | None"
    """The batch that the record is handled in, if any."""
    began: float
    """When the handler began, by the clock of the event loop."""
    begins_at: float
    """When a record of a retry topic may begin, by the clock of the event loop; others have none.
    """
    running_scope: anyio.CancelScope | None
    handling: Handling
    """The latest attempt, as hooks see it; none has it where no hook takes part in handlers."""
    due: float = inf
    """A handler has no deadline."""
    _made: Record | None
    """The record, once somebody has asked for it."""

    @property
    def tenancy(self) -> Tenancy:
        """The stay of the partition that this record belongs to."""
        return self.parcel.chunk.tenancy

    @property
    def is_gone(self) -> bool:
        """True if the partition was revoked, so that nothing more may begin."""
        tenancy = self.parcel.chunk.tenancy
        return tenancy.withdrawn or not tenancy.open

    @property
    def record(self) -> Record:
        """The record as it came from Kafka, made when it is asked for first."""
        record = self._made
        if record is None:
            records, at = self.parcel.records, self.at
            record = records.record(at) if type(records) is RecordColumns else records[at]
            self._made = record
        return record

    @property
    def place(self) -> tuple[Chunk[Tenancy], int]:
        """The chunk that the record was delivered with, and its place there."""
        return self.parcel.chunk, self.parcel.indices[self.at]

    @property
    def offset(self) -> int:
        """The offset of the record."""
        return self.parcel.chunk.offsets[self.parcel.indices[self.at]]

    def keep_alone(self) -> None:
        """Let go of the other records of the parcel: they may be large, and finish earlier."""
        if len(self.parcel.values) > 1:
            self.parcel, self.at = self.as_parcel(), 0

    def parse(self) -> object:
        """Return what the parser makes of the record, or `Unparsed`."""
        value, parse = self.parcel.values[self.at], self.parcel.parse
        if parse is None:
            return value
        try:
            return parse(value)
        except Exception as error:
            return Unparsed(error)

    def is_doubtful(self, value: object) -> bool:
        """Return whether what `parse` returned has to be looked at closer."""
        spec = self.parcel.spec
        return self.parcel.parse is not None and (
            spec is None or value.__class__ is not spec.accepts
        )

    def set_value(self, value: object) -> None:
        """Note what the parser made of the record, for the handler."""
        self._value = value

    def finish(self) -> bool:
        """Finish the record; return False if it has been finished or given back already."""
        if self.is_settled:
            return False
        self.is_settled = True
        self.parcel.chunk.finish(self.parcel.indices[self.at])
        return True

    def give_back(self) -> bool:
        """Give the record back, unfinished; return False if it was settled already."""
        if self.is_settled:
            return False
        self.is_settled = True
        self.parcel.chunk.give_back()
        return True

    def as_parcel(self) -> Parcel:
        """Return the record as one that waits for somebody to take it."""
        parcel, at = self.parcel, self.at
        values, indices = (parcel.values[at],), (parcel.indices[at],)
        return Parcel(parcel.chunk, values, indices, (self.record,), parcel.spec, (), parcel.parse)

    def done(self) -> None:
        """Let the record finish when the handler ends, whatever becomes of the others."""
        if self.verdict is None:
            self.verdict = DONE

    def fail(self, error: Exception) -> None:
        """Fail the record when the handler ends, whatever becomes of the others."""
        check_error(error)
        if self.verdict is None:
            self.verdict = error

    def _give_back(self) -> None:
        """Leave the record to the handler's own end."""

    @property
    def jobs(self) -> "tuple[Job, ...]":
        """The record itself, as the one that is handled."""
        return (self,)


def new_job(
    parcel: Parcel, at: int, home: "dict[object, Any] | None" = None, key: object = None
) -> Job:
    """Return a record of a parcel as a job, at its first attempt."""
    job = Job()
    job.parcel = parcel
    job.at = at
    job.home = home
    job.key = key
    job.is_settled = False
    job.verdict = None
    job.batch = None
    job.attempt = 1
    job._made = None  # pyright: ignore[reportPrivateUsage]  # it is its constructor
    return job


def new_jobs(parcel: Parcel, count: int) -> list[Job]:
    """Take the next records of a parcel as jobs, at their first attempt."""
    first, parcel.next = parcel.next, parcel.next + count
    return [new_job(parcel, at) for at in range(first, parcel.next)]


@define(eq=False)
class BatchLane:
    """The records of a partition, or of a key of it, that wait to be made a batch."""

    tenancy: Tenancy
    key: object
    is_ordered: bool
    """True if one batch waits for the one before."""
    waiting: deque[Parcel] = field(factory=deque[Parcel], init=False)
    """The parcels that wait, each from its next record on."""
    count: int = field(default=0, init=False)
    """The number of records that wait."""
    first: Job | None = field(default=None, init=False)
    """The first record that waits, if somebody had to look at it before it could begin."""
    due: float = field(default=0.0, init=False)
    """When the first record that waits has waited long enough."""
    looks_at: float = field(default=inf, init=False)
    """When somebody looks at the lane, `inf` if nobody was asked to."""
    is_busy: bool = field(default=False, init=False)
    is_ready: bool = field(default=False, init=False)
    """True if it stands in the line of the lanes that are ready."""


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
        """True if the partition was revoked, so that nothing more may begin."""
        return self.lane.tenancy.withdrawn or not self.lane.tenancy.open

    def has_no_verdict(self) -> bool:
        """Return whether the handler's end is all that decides about the records."""
        return all(job.verdict is None and not job.is_settled for job in self.jobs)

    def finish(self) -> None:
        """Finish the records that take part in this attempt, none of which is settled."""
        for parcel, group in groupby(self.jobs, attrgetter("parcel")):
            jobs = list(group)
            first, end = jobs[0].at, jobs[-1].at + 1
            if end - first == len(jobs):
                parcel.chunk.finish_run(parcel.indices[first:end])
            else:
                parcel.chunk.finish_run([parcel.indices[job.at] for job in jobs])
        for job in self.jobs:
            job.is_settled = True
            job.batch = None  # a cycle
        self.open -= len(self.jobs)

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
"""The work of one call of a handler."""


def places_of(jobs: Iterable[Job]) -> set[tuple[TopicPartition, int]]:
    """Return the partitions and offsets of these records."""
    return {(TopicPartition(job.tenancy.topic, job.tenancy.partition), job.offset) for job in jobs}
