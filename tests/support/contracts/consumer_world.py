"""The parts of the consumers' contract: a broker to act on, and members that check each answer."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Literal, Protocol

import anyio
import pytest
from attrs import evolve

from sdml_kafka.transport.interfaces.consumer import Connect, Consumer
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import (
    Assignment,
    Commit,
    Health,
    Polled,
    Revocation,
    Tail,
)

PATIENCE_S = 20.0
POLL_S = 0.1
CALL_S = 10.0

Reset = Literal["earliest", "latest"]


class World(Protocol):
    """A broker under test."""

    @property
    def incremental(self) -> bool:
        """True if a rebalance moves only what has to move; else it takes everything."""
        ...

    def connect(
        self,
        group: str,
        *,
        auto_offset_reset: Reset = ...,
        rebalance_timeout_s: float = ...,
        read_committed: bool = ...,
    ) -> Connect: ...

    def name(self) -> str:
        """Return a new name for a topic or a group."""
        ...

    async def create_topic(self, topic: str, partitions: int) -> None: ...
    async def add_partitions(self, topic: str, count: int) -> None: ...
    async def trim(self, partition: TopicPartition, before: int) -> None:
        """Delete the records before this offset."""

    async def commit(
        self, group: str, partition: TopicPartition, offset: int, metadata: str = ""
    ) -> None:
        """Commit for a group without members, whatever the offset."""

    async def transact(self, partition: TopicPartition, *values: bytes) -> None:
        """Add records in a transaction, which leaves a marker behind them; abort one without."""

    async def replace(self, topic: str, partitions: int) -> None:
        """Delete a topic and create it anew, at once."""

    async def produce(self, partition: TopicPartition, *values: bytes) -> None: ...
    async def committed(self, group: str, partition: TopicPartition) -> int | None: ...


def skip_unless_eager(world: World) -> None:
    """Skip what holds only where a rebalance takes everything from everybody."""
    if world.incremental:
        pytest.skip("the rebalances of this client are incremental")


class Seat:
    """A member of a group that checks every answer of its consumer against the port."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.assignment: Assignment | None = None
        self.records: dict[TopicPartition, list[Record]] = {}
        """The records of the current assignment, or of the last one."""
        self.assignments: list[Assignment] = []
        self.seen: dict[TopicPartition, list[bytes | None]] = {}
        """The records' values of all assignments together."""
        self.health: Health | None = None
        self.last_epoch = 0
        self.irregular: set[TopicPartition] = set()
        """Partitions in which offsets are missing, or begin anew."""
        self._next: dict[TopicPartition, int] = {}
        self._is_incremental = consumer.settings.incremental
        self._released = 0
        """The epoch of the last revocation, after which an eager one has a larger epoch."""
        self.revocations: list[Revocation] = []

    @property
    def partitions(self) -> frozenset[TopicPartition]:
        return frozenset() if self.assignment is None else frozenset(self.assignment.positions)

    @property
    def count(self) -> int:
        return sum(map(len, self.records.values()))

    def values(self, partition: TopicPartition) -> list[bytes | None]:
        return [record.value for record in self.records.get(partition, ())]

    async def poll(
        self,
        ready: Collection[TopicPartition] | None = None,
        max_records: int = 500,
        timeout_s: float = POLL_S,
    ) -> Polled:
        """Poll the partitions in `ready`, by default all that are assigned."""
        ready = self.partitions if ready is None else ready
        polled = await self.consumer.poll(ready, max_records, timeout_s)
        self.health = polled.health or self.health
        if polled.assignment is not None:
            self._take_assignment(polled.assignment)
        assert set(polled.records) <= set(ready) & self.partitions
        assert all(len(batch) <= max_records for batch in polled.records.values())
        for partition, batch in polled.records.items():
            self._take_records(partition, batch)
        for partition, position in polled.positions.items():
            if partition in self._next:
                assert position != self._next[partition], "no news"
                self._next[partition] = position
        return polled

    def position(self, partition: TopicPartition) -> int:
        """Return the offset that is read next."""
        return self._next[partition]

    def _take_assignment(self, assignment: Assignment) -> None:
        assert assignment.epoch > self.last_epoch
        assert assignment.positions.keys() == assignment.committed.keys()
        self.last_epoch = assignment.epoch
        if assignment.adds:
            assert self._is_incremental
            assert not self.partitions & assignment.positions.keys()
        else:
            assert not (self._is_incremental and self.partitions), "what is assigned was taken"
            self.records.clear()
            self._next.clear()
        self.assignments.append(assignment)
        self.records.update((partition, []) for partition in assignment.positions)
        self._next.update(assignment.positions)
        had = self.assignment if assignment.adds else None
        if had is not None:
            positions = {**had.positions, **assignment.positions}
            committed = {**had.committed, **assignment.committed}
            assignment = evolve(assignment, positions=positions, committed=committed)
        self.assignment = assignment

    def _take_records(self, partition: TopicPartition, batch: Collection[Record]) -> None:
        for record in batch:
            assert (record.topic, record.partition) == partition
            in_order = record.offset == self._next[partition]
            assert in_order or partition in self.irregular, "lost, repeated or out of order"
            self._next[partition] = record.offset + 1
            self.records[partition].append(record)
            self.seen.setdefault(partition, []).append(record.value)

    async def revoked(self) -> Revocation:
        with anyio.fail_after(PATIENCE_S):
            revocation = await self.consumer.revocation()
        assert revocation.deadline_s >= 0
        if not self._is_incremental:
            assert revocation.epoch == self.last_epoch
            assert revocation.partitions == self.partitions
        self.note_revoked(revocation)
        return revocation

    def note_revoked(self, revocation: Revocation) -> None:
        """Check a revocation, and forget what it takes."""
        self.revocations.append(revocation)
        had, self.assignment = self.assignment, None
        if not self._is_incremental:
            assert revocation.epoch > self._released, "the same one again after its release"
        elif revocation.lost:
            assert revocation.partitions >= (set() if had is None else had.positions.keys())
        else:
            assert had is not None
            assert set() < revocation.partitions <= had.positions.keys()
            assert revocation.epoch <= self.last_epoch
            positions, committed = dict(had.positions), dict(had.committed)
            for partition in revocation.partitions:
                del positions[partition], committed[partition]
            self.assignment = evolve(had, positions=positions, committed=committed)

    def release(self, revocation: Revocation) -> None:
        self._released = revocation.epoch
        revocation.release()

    async def commit(
        self,
        offsets: Mapping[TopicPartition, int],
        epoch: int | None = None,
        metadata: str = "",
    ) -> None:
        epoch = self.last_epoch if epoch is None else epoch
        commits = {each: Commit(offset, metadata) for each, offset in offsets.items()}
        with anyio.fail_after(CALL_S + 1):
            await self.consumer.commit(epoch, commits, CALL_S)


@asynccontextmanager
async def seat(connect: Connect, *topics: str, tail: Tail | None = None) -> AsyncGenerator[Seat]:
    async with connect() as consumer:
        with anyio.fail_after(PATIENCE_S):
            await consumer.start(topics, CALL_S, tail)
        yield Seat(consumer)


async def poll_until(condition: Callable[[], object], *seats: Seat) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            for each in seats:
                await each.poll()


@asynccontextmanager
async def releasing(*seats: Seat) -> AsyncGenerator[None]:
    """Release at once whatever is revoked."""

    async def release(each: Seat) -> None:
        while True:
            revocation = await each.consumer.revocation()
            each.note_revoked(revocation)
            each.release(revocation)

    async with anyio.create_task_group() as tasks:
        for each in seats:
            tasks.start_soon(release, each)
        yield
        tasks.cancel_scope.cancel()


async def share_out(count: int, *seats: Seat) -> None:
    """Poll until every partition of `count` is assigned, to one member each."""

    def is_shared_out() -> bool:
        return (
            all(each.assignment is not None for each in seats)
            and sum(len(each.partitions) for each in seats) == count
            and len(frozenset[TopicPartition]().union(*(each.partitions for each in seats)))
            == count
        )

    await poll_until(is_shared_out, *seats)


def partitions(topic: str, count: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(count)]


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


async def records_of(
    partition: TopicPartition, consumer: Consumer, seeks: int, count: int
) -> list[Record]:
    """Poll until so many records of a partition have come, with what was sought until then."""
    records: list[Record] = []
    with anyio.fail_after(PATIENCE_S):
        while len(records) < count:
            polled = await consumer.poll([partition], 500, 0.1, seeks)
            records.extend(polled.records.get(partition, ()))
    return records
