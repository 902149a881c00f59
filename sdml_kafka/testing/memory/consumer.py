"""A consumer of the in-memory broker."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import anyio
import anyio.lowlevel
from attrs import evolve

from sdml_kafka.errors import (
    BrokerUnreachable,
    CommitFailed,
    CommitRejected,
    ConfigurationError,
    ConsumerFailed,
    SeekFailed,
)
from sdml_kafka.testing.memory.ends import KnownEnds
from sdml_kafka.testing.memory.faults import next_failure
from sdml_kafka.testing.memory.group import Group, MemoryGroupMetadata
from sdml_kafka.testing.memory.log import Misuse
from sdml_kafka.testing.memory.member import Member, Standing, TailPositions
from sdml_kafka.testing.memory.state import CommitRequest, State, now
from sdml_kafka.transport.interfaces.consumer import Target
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import (
    DELETED,
    REPLACED,
    Assignment,
    Commit,
    ConsumerSettings,
    Health,
    Jump,
    Polled,
    Revocation,
    Tail,
)
from sdml_kafka.transport.interfaces.transactions import GroupMetadata
from sdml_kafka.transport.record_checks import nearest_topics
from sdml_kafka.transport.rules.seek_rules import within_logs

REPORT_INTERVAL_S = 0.2
"""Seconds between two reports of a health that has not changed."""

Batches = Mapping[TopicPartition, Sequence[Record]]


class MemoryConsumer:
    """The port's `Consumer`, as a member of a group of the in-memory broker."""

    def __init__(
        self,
        state: State,
        group: Group,
        member: Member,
        settings: ConsumerSettings,
        create_topic: Callable[[str], None],
    ) -> None:
        self._state = state
        self._group = group
        self._member = member
        self._settings = settings
        self._create_topic = create_topic
        self._nearest: Mapping[str, str] = {}
        self._started = self._closed = False
        self._failure: ConsumerFailed | None = None
        self._running_calls = set[str]()
        self._last_health: Health | None = None
        self._looked_at = 0.0
        self._ends = KnownEnds(state, member)
        self._nudged = self._skips_corrupt = False
        self._corrupt: list[Jump] = []
        self._sought: dict[TopicPartition, int] = {}
        """The number of the last seek of each partition."""
        self._seeks = 0
        """The last seek that the present poll knows of."""

    @property
    def member_id(self) -> str:
        return self._member.name

    @property
    def settings(self) -> ConsumerSettings:
        return self._settings

    # -- start and close -----------------------------------------------------------------

    async def start(
        self,
        topics: Collection[str],
        timeout_s: float,
        tail: Tail | None = None,
        *,
        create_topics: bool = False,
        skips_corrupt: bool = False,
    ) -> None:
        self._skips_corrupt = skips_corrupt
        if isinstance(topics, str) or not topics:
            raise ConfigurationError(f"topics has to be a collection of names, not {topics!r}")
        if self._started:
            raise Misuse("started twice")
        self._check_open()
        await anyio.lowlevel.checkpoint()
        if not await self._wait_for_broker(now() + timeout_s):
            raise BrokerUnreachable(f"no broker answered within {timeout_s:g} s")
        if (failure := next_failure(self._state.faults.starts, self.member_id)) is not None:
            raise failure.error
        self._started = True
        existing = {partition.topic for partition in self._state.logs}
        missing = frozenset(topics) - existing
        self._nearest = nearest_topics(missing, existing)
        self._member.topics = frozenset(topics)
        self._member.known = frozenset(
            partition for topic in topics for partition in self._state.partitions_of(topic)
        )
        if create_topics:
            for topic in sorted(missing):
                self._create_topic(topic)
        self._member.read_before = self._group.topics()
        self._member.tail = None if tail is None else TailPositions.of(tail)
        self._member.polled_at = now()
        self._group.join(self._member, now())

    async def _wait_for_broker(self, deadline: float) -> bool:
        while self._state.faults.down:
            if now() >= deadline:
                return False
            await self._state.wait(self._group, deadline)
            self._check_open()
        return True

    async def close(self, timeout_s: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.close_at_once()

    def close_at_once(self) -> None:
        if not self._closed:
            self._closed = True
            self._group.leave(self._member, now())
            self._state.signal.fire()

    def _check_open(self) -> None:
        if self._closed:
            raise ConsumerFailed("the consumer is closed")
        if self._failure is not None:
            raise ConsumerFailed(f"this consumer failed before: {self._failure}")

    @contextmanager
    def _only_call_of(self, method: str) -> Generator[None]:
        if method in self._running_calls:
            raise Misuse(f"two calls of {method} at once")
        if not self._started and method != "revocation":
            raise Misuse(f"{method} before start")
        self._running_calls.add(method)
        try:
            yield
        finally:
            self._running_calls.discard(method)

    # -- poll ----------------------------------------------------------------------------

    async def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Polled:
        if max_records < 1 or timeout_s < 0:
            raise Misuse(f"poll with max_records={max_records}, timeout_s={timeout_s}")
        self._check_open()
        deadline = now() + timeout_s
        with self._only_call_of("poll"), self._polling():
            self._seeks = seeks
            await anyio.lowlevel.checkpoint()
            if self._state.faults.poll_latency_s:
                await anyio.sleep(min(self._state.faults.poll_latency_s, timeout_s))
            self._group.advance(now())
            while True:
                self._check_open()
                self._raise_ordered_failure()
                assignment, records, moved = self._deliver(ready, max_records)
                if assignment is not None:
                    self._ends.learn(assignment.positions)
                jumps, self._member.jumps = self._member.jumps, []
                corrupt, self._corrupt = self._corrupt, []
                is_news = assignment is not None or records or moved
                if is_news or self._nudged or now() >= deadline:
                    self._nudged = False
                    return Polled(records, assignment, self._health(ready), moved, jumps, corrupt)
                await self._state.wait(self._group, deadline)

    def sizes(self, records: Sequence[Record]) -> Sequence[int]:
        return [
            len(each.key or b"")
            + len(each.value or b"")
            + sum(len(name) + len(value or b"") for name, value in each.headers)
            for each in records
        ]

    def nudge(self) -> None:
        self._nudged = True
        self._state.signal.fire()

    @contextmanager
    def _polling(self) -> Generator[None]:
        self._member.polled_at = None
        try:
            yield
        finally:
            self._member.polled_at = now()

    def _raise_ordered_failure(self) -> None:
        failure = next_failure(self._state.faults.polls, self.member_id)
        if failure is None:
            return
        if isinstance(failure.error, ConsumerFailed):
            self._failure = failure.error
            self._group.die(self._member, now())
        raise failure.error

    def _deliver(
        self, ready: Collection[TopicPartition], max_records: int
    ) -> tuple[Assignment | None, Batches, Mapping[TopicPartition, int]]:
        member = self._member
        if self._state.faults.down:
            return None, {}, {}
        if member.standing is Standing.OUT:
            self._group.join(member, now())
        if member.standing is not Standing.OWNING:
            return None, {}, {}
        assignment = member.assignment
        if assignment is not None and not self._group.is_unstable(assignment.positions):
            member.assignment = None
            kept = self._sought if assignment.adds else {}
            own = assignment.positions
            self._sought = {each: number for each, number in kept.items() if each not in own}
        else:
            assignment = None
        return assignment, *self._read(ready, max_records)

    def _read(
        self, ready: Collection[TopicPartition], max_records: int
    ) -> tuple[Batches, Mapping[TopicPartition, int]]:
        """Return records, and the positions that have moved otherwise than behind them."""
        positions = self._member.positions
        readable = self._member.partitions - self._member.revoking
        if (undelivered := self._member.assignment) is not None:
            readable -= undelivered.positions.keys()
        asked = [TopicPartition(*each) for each in ready]
        ready = [e for e in asked if e in readable and self._sought.get(e, 0) <= self._seeks]
        batches: dict[TopicPartition, Sequence[Record]] = {}
        moved = self._skip(ready)
        readable -= self._state.faults.spoiled.keys()
        readable &= self._state.logs.keys()
        for partition in sorted(readable.intersection(ready)):
            log, expected = self._state.logs[partition], positions[partition]
            # What is gone was deleted, or the log was restored: read what there is.
            position = expected
            if not log.start <= expected <= log.end:
                position = log.start
                reason = DELETED if expected < log.start else REPLACED
                self._member.jumps.append(Jump(partition, expected, position, reason))
            if batch := log.read(position, max_records):
                batches[partition] = batch
                expected = position = batch[-1].offset + 1
            if not log.read(position, 1):
                position = max(position, log.stable_end)
            if position != expected:
                moved[partition] = position
            elif batch:
                moved.pop(partition, None)
            positions[partition] = position
        return batches, moved

    def _skip(self, asked: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Go on behind spoiled records if that is wanted, and return the new positions."""
        moved: dict[TopicPartition, int] = {}
        if not self._skips_corrupt:
            return moved
        faults, positions = self._state.faults, self._member.positions
        for partition in sorted(set(asked) & faults.spoiled.keys() & self._state.logs.keys()):
            at, log = positions[partition], self._state.logs[partition]
            if log.read(at, 1):
                end = min(log.end, at + faults.spoiled_records.pop(partition))
                why = f"what does not decode is skipped ({faults.spoiled.pop(partition)})"
                self._corrupt.append(Jump(partition, at, end, why))
                positions[partition] = moved[partition] = end
        return moved

    async def seek(
        self,
        epoch: int,
        number: int,
        targets: Mapping[TopicPartition, Target],
        timeout_s: float,
        *,
        within_log: bool = False,
    ) -> Mapping[TopicPartition, int]:
        await anyio.lowlevel.checkpoint()
        is_known = not within_log and all(isinstance(each, int) for each in targets.values())
        if not is_known and not await self._wait_for_broker(now() + timeout_s):
            raise SeekFailed(f"No broker answered within {timeout_s:g} s. Try again.")
        self._group.advance(now())
        member = self._member
        if self._closed or not self._group.may_seek(member, epoch, targets.keys()):
            raise SeekFailed("The partitions are being revoked: seek once they are assigned again")
        positions: Mapping[TopicPartition, int] = {
            each: self._offset(each, "latest" if within_log and isinstance(to, int) else to)
            for each, to in targets.items()
        }
        if within_log:
            positions = within_logs(targets, positions)
        member.positions.update(positions)
        self._sought.update(dict.fromkeys(positions, number))
        self._group.sought(positions)
        return positions

    def _offset(self, partition: TopicPartition, target: Target) -> int:
        log = self._state.logs[partition]
        if isinstance(target, datetime):
            since_ms = target.timestamp() * 1000
            return next(
                (each.offset for each in log.records if each.timestamp >= since_ms),
                log.stable_end,
            )
        if isinstance(target, int):
            return target
        return log.start if target == "earliest" else log.stable_end

    def _health(self, ready: Collection[TopicPartition]) -> Health | None:
        """Return the health now and then, and whenever it has changed.

        The ready partitions are those that a client would have fetched.
        """
        state, member, time = self._state, self._member, now()
        ends = self._ends.look(ready)
        health = Health(
            connected=not state.faults.down,
            high_watermarks={each: end.offset for each, end in ends.items()},
            missing_topics=frozenset(
                topic for topic in member.topics if not state.partitions_of(topic)
            ),
            held={
                partition: reason
                for partition, reason in state.faults.spoiled.items()
                if partition in member.partitions
            },
            nearest_topics=self._nearest,
        )
        if health == self._last_health and time - self._looked_at < REPORT_INTERVAL_S:
            return None
        self._last_health, self._looked_at = health, time
        ages_s = {each: end.age_s for each, end in ends.items()}
        return evolve(health, mark_ages_s=ages_s, ends=ends)

    # -- revocation ----------------------------------------------------------------------

    async def revocation(self) -> Revocation:
        """Wait for a revocation; return the same one again until it is released."""
        self._check_open()
        with self._only_call_of("revocation"):
            await anyio.lowlevel.checkpoint()
            self._group.advance(now())
            while (pending := self._member.revocation) is None:
                await self._state.wait(self._group, float("inf"))
        return Revocation(
            pending.epoch,
            pending.partitions,
            pending.lost,
            max(0.0, self._member.release_by - now()),
            lambda: self._group.release(self._member, pending, now()),
        )

    # -- commit --------------------------------------------------------------------------

    async def group_metadata(
        self, epoch: int, partitions: Collection[TopicPartition], timeout_s: float
    ) -> GroupMetadata:
        await anyio.lowlevel.checkpoint()
        self._group.advance(now())
        if self._closed:
            raise CommitRejected("the consumer is closed")
        if self._group.is_over(self._member, epoch, partitions):
            raise CommitRejected("the assignment that the transaction belongs to is over")
        return MemoryGroupMetadata(self._group, self._member, epoch, self._group.generation)

    async def commit(
        self, epoch: int, commits: Mapping[TopicPartition, Commit], timeout_s: float
    ) -> None:
        if not commits:
            raise Misuse("a commit of nothing")
        if self._closed:
            raise CommitRejected("the consumer is closed")
        deadline = now() + timeout_s
        with self._only_call_of("commit"):
            await anyio.lowlevel.checkpoint()
            self._group.advance(now())
            if not await self._wait_for_broker(deadline):
                raise CommitFailed("the group's coordinator cannot be reached")
            await self._send(CommitRequest(self._group, self._member, epoch, commits), deadline)

    async def _send(self, request: CommitRequest, deadline: float) -> None:
        failure = next_failure(self._state.faults.commits, self.member_id)
        if failure is not None and not failure.applied:
            raise failure.error
        if self._state.faults.commit_latency_s:
            await anyio.sleep(min(self._state.faults.commit_latency_s, max(0.0, deadline - now())))
            self._group.advance(now())
        self._state.send(request)
        while not request.answered and now() < deadline:
            await self._state.wait(self._group, deadline)
        if now() >= deadline:
            raise CommitFailed("no answer in time: the commit may have gone through or not")
        if request.error is not None:
            self._notice_expulsion()
            raise request.error
        if failure is not None:
            raise failure.error

    def _notice_expulsion(self) -> None:
        """Learn from a refused commit that the member was expelled, if it was."""
        if self._member.notices_at is not None:
            self._member.notices_at = now()
            self._group.advance(now())
