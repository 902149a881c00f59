"""The in-memory twin of the port: a broker without a network, for tests of what runs on it.

It keeps time by the event loop's clock alone, uses no thread and never polls, so that tests run
on asyncio and on trio, and in virtual time under trio's `MockClock(autojump_threshold=0)`.
It is strict where Kafka is lenient: what no program can mean raises `Misuse`.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from zlib import crc32

from sdml_kafka.errors import CommitFailed, ProducerFailed, SendFailed
from sdml_kafka.testing.memory.consumer import MemoryConsumer
from sdml_kafka.testing.memory.group import Member, MemberOptions, Reset
from sdml_kafka.testing.memory.log import Log, MemoryCommit, MemoryRecord, Misuse
from sdml_kafka.testing.memory.producer import MemoryProducer, running
from sdml_kafka.testing.memory.state import Failure, State, now
from sdml_kafka.transport.interfaces import (
    Connect,
    ConnectProducer,
    Consumer,
    ConsumerSettings,
    Producer,
    TopicPartition,
    Transport,
)

__all__ = ["MemoryBroker", "MemoryCommit", "MemoryConsumer", "MemoryRecord", "Misuse", "Transport"]

FIRST_SECOND = 1_700_000_000.0


def loop_time() -> float:
    return FIRST_SECOND + now()


class MemoryBroker:
    """Topics, groups, and what a test orders to go wrong.

    `topics` are the numbers of partitions. `clock` gives the records' timestamps, in seconds since
    the epoch; without it they follow the event loop's clock from a fixed day on. `auto_create` is
    how many partitions a topic gets that is made because a producer sends to it; without it there
    is none. `max_record_bytes` is what key and value may have together.
    """

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        *,
        clock: Callable[[], float] = loop_time,
        auto_create: int = 0,
        max_record_bytes: int = 1 << 20,
    ) -> None:
        self._state = State(auto_create=auto_create, max_record_bytes=max_record_bytes)
        self._clock = clock
        self._turns = count()
        self._member_numbers = count(1)
        self._producer_numbers = count(1)
        self._producers: list[MemoryProducer] = []
        for topic, partitions in (topics or {}).items():
            self.create_topic(topic, partitions)

    # -- topics --------------------------------------------------------------------------

    def create_topic(self, topic: str, partitions: int = 1) -> None:
        """Groups that were waiting for it rebalance at once."""
        if partitions < 1 or self._state.partitions_of(topic):
            raise Misuse(f"create_topic({topic!r}, {partitions}): it exists, or has no partition")
        self._create_partitions(topic, range(partitions))

    def add_partitions(self, topic: str, count: int) -> None:
        """Groups that read it rebalance at once."""
        there = len(self._state.partitions_of(topic))
        if count < 1 or not there:
            raise Misuse(f"add_partitions({topic!r}, {count}): no topic, or nothing to add")
        self._create_partitions(topic, range(there, there + count))

    def _create_partitions(self, topic: str, numbers: range) -> None:
        for number in numbers:
            self._state.logs[TopicPartition(topic, number)] = Log()
        for group in self._state.groups.values():
            if any(topic in member.topics for member in group.inside()):
                group.rebalance(now())

    def delete_topic(self, topic: str) -> None:
        """Nobody may be reading it."""
        partitions = self._state.partitions_of(topic)
        if not partitions:
            raise Misuse(f"there is no topic {topic!r}")
        for group in self._state.groups.values():
            for member in group.inside():
                if not member.partitions.isdisjoint(partitions):
                    raise Misuse(f"delete_topic({topic!r}) while {member.name} reads it")
        for partition in partitions:
            del self._state.logs[partition]

    def produce(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> MemoryRecord:
        """Without a partition the key decides, and without a key each record goes to the next."""
        partitions = self._state.partitions_of(topic)
        if not partitions:
            raise Misuse(f"there is no topic {topic!r}")
        if partition is None:
            turn = next(self._turns) if key is None else crc32(key)
            partition = turn % len(partitions)
        log = self._log(TopicPartition(topic, partition))
        timestamp = int(self._clock() * 1000)
        record = MemoryRecord(topic, partition, log.end, timestamp, key, value, tuple(headers))
        log.append(record)
        self._state.signal.fire()
        return record

    def skip_offsets(self, partition: TopicPartition, count: int) -> None:
        """Leave a gap, as compaction and transactions do."""
        self._log(partition).skip(count)

    def trim(self, partition: TopicPartition, before: int) -> None:
        """Delete the records before this offset, as retention does."""
        log = self._log(partition)
        if not log.start <= before <= log.end:
            raise Misuse(f"trim({partition}, {before}): it has {log.start} to {log.end}")
        log.trim(before)

    def end_offset(self, partition: TopicPartition) -> int:
        return self._log(partition).end

    def records(self, partition: TopicPartition) -> Sequence[MemoryRecord]:
        return tuple(self._log(partition).records)

    def _log(self, partition: TopicPartition) -> Log:
        try:
            return self._state.logs[TopicPartition(*partition)]
        except KeyError:
            raise Misuse(f"there is no partition {partition}") from None

    # -- groups --------------------------------------------------------------------------

    def connect(
        self,
        group_id: str,
        *,
        auto_offset_reset: Reset = "latest",
        session_timeout_s: float = 10.0,
        rebalance_timeout_s: float = 10.0,
        max_poll_interval_s: float = 300.0,
        auto_commit_interval_s: float | None = 5.0,
    ) -> Connect:
        """Makes members of the group, each with a name of its own: `group-1`, `group-2`, ..."""
        options = MemberOptions(
            auto_offset_reset, session_timeout_s, rebalance_timeout_s, max_poll_interval_s
        )
        settings = ConsumerSettings(group_id, auto_commit_interval_s, rebalance_timeout_s)

        @asynccontextmanager
        async def open_consumer() -> AsyncGenerator[Consumer]:
            member = Member(f"{group_id}-{next(self._member_numbers)}", options)
            consumer = MemoryConsumer(self._state, self._state.group(group_id), member, settings)
            try:
                yield consumer
            finally:
                consumer.let_go()

        return open_consumer

    def connect_producer(self, *, client_id: str = "producer") -> ConnectProducer:
        """Makes producers, each with a name of its own: `producer-1`, `producer-2`, ..."""

        @asynccontextmanager
        async def open_producer() -> AsyncGenerator[Producer]:
            name = f"{client_id}-{next(self._producer_numbers)}"
            producer = MemoryProducer(self._state, self, name)
            self._producers.append(producer)
            try:
                async with running(producer):
                    yield producer
            finally:
                self._producers.remove(producer)

        return open_producer

    def members(self, group_id: str) -> Mapping[str, frozenset[TopicPartition]]:
        """Who is in the group, by name, with what each has been assigned."""
        return {member.name: member.assigned for member in self._state.group(group_id).inside()}

    def generation(self, group_id: str) -> int:
        return self._state.group(group_id).generation

    def committed(self, group_id: str, partition: TopicPartition) -> int | None:
        return self._state.group(group_id).committed.get(TopicPartition(*partition))

    @property
    def commits(self) -> Sequence[MemoryCommit]:
        """All that ever went through, in order."""
        return tuple(self._state.commits)

    def rebalance(self, group_id: str) -> None:
        self._state.group(group_id).rebalance(now())

    def expel(self, member: str | Consumer, *, unnoticed_for_s: float = 0.0) -> None:
        """The group drops the member as if its session had run out.

        Until it notices, by itself or by a refused commit, it goes on reading what others may
        own by then; after that it gets a revocation with `lost`.
        """
        name = member.member_id if isinstance(member, MemoryConsumer) else member
        for group in self._state.groups.values():
            for each in group.inside():
                if each.name == name:
                    group.throw_out(each, now(), learns_at=now() + unnoticed_for_s)
                    return
        raise Misuse(f"no group has a member {name!r}")

    # -- faults --------------------------------------------------------------------------

    def fail_starts(self, error: Exception, times: int = 1, *, member: str | None = None) -> None:
        self._state.faults.starts.append(Failure(error, times, member))

    def fail_next_poll(self, error: Exception, *, member: str | None = None) -> None:
        """Also one that is waiting already. After a ConsumerFailed that consumer stays dead."""
        self._state.faults.polls.append(Failure(error, 1, member))
        self._state.signal.fire()

    def fail_commits(
        self,
        error: Exception | None = None,
        times: int = 1,
        *,
        applied: bool = False,
        member: str | None = None,
    ) -> None:
        """`applied`: the commit goes through, and only the answer is the error."""
        error = error or CommitFailed("ordered by the test")
        self._state.faults.commits.append(Failure(error, times, member, applied))

    def hold_commits(self) -> None:
        """Commits reach the broker and stay there, also those whose caller has given up."""
        self._state.faults.holds_commits = True

    def release_commits(self) -> None:
        """Carry out what is held, each if its assignment is not over by now."""
        faults = self._state.faults
        faults.holds_commits = False
        held, faults.held = faults.held, []
        for request in held:
            request.carry_out()
        self._state.signal.fire()

    def fail_sends(
        self,
        error: Exception | None = None,
        times: int = 1,
        *,
        applied: bool = False,
        producer: str | None = None,
    ) -> None:
        """`applied`: the record arrives, and only the answer is the error."""
        error = error or SendFailed("ordered by the test", in_doubt=applied)
        self._state.faults.sends.append(Failure(error, times, producer, applied))

    def hold_sends(self) -> None:
        """Records are on their way and stay there, whether they are still wanted or not."""
        self._state.faults.holds_sends = True

    def release_sends(self) -> None:
        self._state.faults.holds_sends = False
        self._state.signal.fire()

    def fail_producer(
        self, error: ProducerFailed | None = None, *, producer: str | None = None
    ) -> None:
        """It has to be replaced; without a name, each that is open now. What it has sent and the
        broker has not answered is told in doubt."""
        for each in list(self._producers):
            if producer in (None, each.client_id):
                each.fail(error or ProducerFailed("ordered by the test"))

    def down(self) -> None:
        """No broker can be reached: no records, no commits, no rebalances. Sends wait."""
        if not self._state.faults.down:
            self._state.faults.down_since = now()
            self._set_reachable(False)

    def up(self) -> None:
        """Members that it was away for longer than their session are out of their groups."""
        since = self._state.faults.down_since
        if since is None:
            return
        self._state.faults.down_since = None
        self._set_reachable(True)
        for group in self._state.groups.values():
            for member in group.inside():
                if now() - since >= member.options.session_timeout_s:
                    group.throw_out(member, now(), learns_at=now())
            group.advance(now())
        self._state.signal.fire()

    def _set_reachable(self, reachable: bool) -> None:
        for group in self._state.groups.values():
            group.reachable = reachable

    def slow_down(self, *, poll_s: float = 0.0, commit_s: float = 0.0, send_s: float = 0.0) -> None:
        """Every poll, every commit and every acknowledgement takes this long, from now on."""
        self._state.faults.poll_latency_s = poll_s
        self._state.faults.commit_latency_s = commit_s
        self._state.faults.send_latency_s = send_s

    def spoil(self, partition: TopicPartition, reason: str) -> None:
        """A batch that does not decode: the partition is held, and its reason in the health."""
        self._state.faults.spoiled[TopicPartition(*partition)] = reason

    def mend(self, partition: TopicPartition) -> None:
        del self._state.faults.spoiled[TopicPartition(*partition)]
        self._state.signal.fire()
