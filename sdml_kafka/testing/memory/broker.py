"""The in-memory broker: what a test creates, looks at, and orders to go wrong.

It keeps time by the event loop's clock alone, uses no thread and never polls, so that tests run
on asyncio and on trio, and in virtual time under trio's `MockClock(autojump_threshold=0)`.
It is strict where Kafka is lenient: what no program can mean raises `Misuse`.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Literal

from attrs import frozen

from sdml_kafka.errors import CommitFailed, ProducerFailed, SendFailed, TransactionFailed
from sdml_kafka.testing.memory.consumer import MemoryConsumer
from sdml_kafka.testing.memory.faults import Failure
from sdml_kafka.testing.memory.log import MemoryCommit, MemoryRecord, Misuse
from sdml_kafka.testing.memory.member import Member, MemberOptions, Reset
from sdml_kafka.testing.memory.placement import Placement
from sdml_kafka.testing.memory.producer import MemoryProducer, running
from sdml_kafka.testing.memory.state import State, loop_time, now
from sdml_kafka.testing.memory.topics import Topics, partition_of
from sdml_kafka.testing.memory.transactions import MemoryTransactions
from sdml_kafka.transport.interfaces.consumer import Connect, Consumer
from sdml_kafka.transport.interfaces.producer import ConnectProducer, Producer
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit, ConsumerSettings
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions, TransactionalProducer


@frozen
class MemoryConnect:
    """A `Connect` that brings the broker's clock along, for the server that reads with it."""

    _open_consumer: Connect
    clock: Callable[[], float]

    def __call__(self) -> AbstractAsyncContextManager[Consumer]:
        """Open a consumer."""
        return self._open_consumer()


class MemoryBroker:
    """A Kafka cluster without a network, for tests: topics, groups, and faults to order."""

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        *,
        clock: Callable[[], float] = loop_time,
        auto_create: int = 0,
        max_record_bytes: int = 1 << 20,
        rebalances: Literal["eager", "incremental"] = "eager",
    ) -> None:
        """Make a broker that can be reached.

        Args:
            topics: The number of partitions of each topic.
            clock: Returns the records' timestamps in seconds since the epoch; by default the wall
                time, which follows the event loop's clock, so that virtual time counts. Servers
                whose transport is of this broker have the same clock.
            auto_create: The number of partitions of a topic that is created because a producer
                sends to it; 0 for none to be created. One that is created with `create_topics`
                has as many, but at least one.
            max_record_bytes: The most bytes of a record's key, value and headers together.
            rebalances: Whether each rebalance of a group takes all partitions from all members and
                assigns them anew, or moves only what has to move; then a member that releases later
                than its `rebalance_timeout_s` is out of the group.
        """
        self._state = State(is_incremental=rebalances == "incremental")
        self._clock = clock
        self._topics = Topics(self._state, clock)
        self._auto_create = auto_create
        self._max_record_bytes = max_record_bytes
        self._member_numbers = count(1)
        self._producer_numbers = count(1)
        self._transaction_numbers = count(1)
        self._producers: list[MemoryProducer | MemoryTransactions] = []
        for topic, partitions in (topics or {}).items():
            self.create_topic(topic, partitions)

    # -- topics --------------------------------------------------------------------------

    def create_topic(self, topic: str, partitions: int = 1, *, compacted: bool = False) -> None:
        """Create a topic; groups that wait for it rebalance at once.

        With `compacted` it refuses a producer's records without a key; nothing is compacted.
        """
        self._topics.create(topic, partitions, compacted=compacted)

    def _create_topic(self, topic: str) -> None:
        self._topics.create(topic, max(1, self._auto_create))

    def add_partitions(self, topic: str, count: int, *, unnoticed_for_s: float = 0.0) -> None:
        """Add partitions to a topic, to which producers send at once.

        Groups that read the topic rebalance after `unnoticed_for_s`, as consumers do when they
        next refresh their metadata.
        """
        self._topics.add_partitions(topic, count, unnoticed_for_s)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic, and what groups have committed of it; those that read it rebalance."""
        self._topics.delete(topic)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> MemoryRecord:
        """Add a record and return it.

        Without a partition the key decides, and without a key the partitions take turns.
        """
        return self._topics.produce(topic, value, partition, key, headers)

    def skip_offsets(self, partition: TopicPartition, count: int) -> None:
        """Leave a gap, as compaction, transaction markers and aborted records do.

        Consumers pass it over, also at the end of the log.
        """
        self._topics.log(partition).skip(count)
        self._state.signal.fire()

    def trim(self, partition: TopicPartition, before: int) -> None:
        """Delete the records before this offset, as retention does."""
        log = self._topics.log(partition)
        if not log.start <= before <= log.end:
            raise Misuse(f"trim({partition}, {before}): it has {log.start} to {log.end}")
        log.trim(before)
        self._state.signal.fire()

    def truncate(self, partition: TopicPartition, end: int) -> None:
        """Delete the records from this offset on, as restoring an older copy of the log does."""
        log = self._topics.log(partition)
        if not log.start <= end <= log.end:
            raise Misuse(f"truncate({partition}, {end}): it has {log.start} to {log.end}")
        log.truncate(end)
        for group in self._state.groups.values():
            group.log_changed(partition)
        self._state.signal.fire()

    def end_offset(self, partition: TopicPartition) -> int:
        """Return the offset that the partition's next record gets."""
        return self._topics.log(partition).end

    def records(self, partition: TopicPartition) -> Sequence[MemoryRecord]:
        """Return the records of a partition that consumers can read, in order."""
        log = self._topics.log(partition)
        return tuple(log.read(log.start, len(log.records)))

    # -- clients and groups --------------------------------------------------------------

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
        """Return a function that makes members of the group, named `group-1`, `group-2`, ..."""
        options = MemberOptions(
            auto_offset_reset, session_timeout_s, rebalance_timeout_s, max_poll_interval_s
        )
        settings = ConsumerSettings(
            group_id,
            auto_commit_interval_s,
            rebalance_timeout_s,
            stall_limit_s=session_timeout_s,
            incremental=self._state.is_incremental,
        )

        @asynccontextmanager
        async def open_consumer() -> AsyncGenerator[Consumer]:
            member = Member(f"{group_id}-{next(self._member_numbers)}", options)
            group = self._state.group(group_id)
            consumer = MemoryConsumer(self._state, group, member, settings, self._create_topic)
            try:
                yield consumer
            finally:
                consumer.close_at_once()

        return MemoryConnect(open_consumer, self._clock)

    def connect_producer(self, *, client_id: str = "producer") -> ConnectProducer:
        """Return a function that makes producers, named `producer-1`, `producer-2`, ..."""

        @asynccontextmanager
        async def open_producer() -> AsyncGenerator[Producer]:
            name = f"{client_id}-{next(self._producer_numbers)}"
            producer = MemoryProducer(self._state, self._topics, self._placement(), name)
            self._producers.append(producer)
            try:
                async with running(producer):
                    yield producer
            finally:
                self._producers.remove(producer)

        return open_producer

    def _placement(self) -> Placement:
        sizes = {"auto_create": self._auto_create, "max_record_bytes": self._max_record_bytes}
        return Placement(self._state, self._topics, **sizes)

    def connect_transactions(
        self, *, transactional_id: str | None = None, timeout_s: float = 10.0
    ) -> ConnectTransactions:
        """Return a function that makes producers of transactions, named `transactions-1`, ...

        Consumers read the records of a transaction once it is committed, and until then none that
        come after them in the same partition.

        Args:
            transactional_id: The id of each of them, which fences the one before; by default each
                has its own.
            timeout_s: Seconds after which the broker aborts an open transaction.
        """

        @asynccontextmanager
        async def open_transactions() -> AsyncGenerator[TransactionalProducer]:
            name = f"transactions-{next(self._transaction_numbers)}"
            where = self._state, self._topics, self._placement()
            producer = MemoryTransactions(*where, name, transactional_id or name, timeout_s)
            self._producers.append(producer)
            try:
                yield producer
            finally:
                producer.close_at_once()
                self._producers.remove(producer)

        return open_transactions

    def members(self, group_id: str) -> Mapping[str, frozenset[TopicPartition]]:
        """Return the names of a group's members, with what each has been assigned."""
        return {member.name: member.assigned for member in self._state.group(group_id).members()}

    def generation(self, group_id: str) -> int:
        """Return the number of rebalances of a group so far."""
        return self._state.group(group_id).generation

    def committed(self, group_id: str, partition: TopicPartition) -> int | None:
        """Return the offset that a group has committed, None if it has not."""
        commit = self._state.group(group_id).committed.get(partition_of(partition))
        return None if commit is None else commit.offset

    def committed_metadata(self, group_id: str, partition: TopicPartition) -> str | None:
        """Return the text that a group has committed with its offset, None without a commit."""
        commit = self._state.group(group_id).committed.get(partition_of(partition))
        return None if commit is None else commit.metadata

    def commit(
        self, group_id: str, partition: TopicPartition, offset: int, metadata: str = ""
    ) -> None:
        """Commit an offset for a group from outside, as tools do; no offset is refused."""
        self._topics.log(partition)
        self._state.group(group_id).commit_from_outside(partition, Commit(offset, metadata))

    @property
    def commits(self) -> Sequence[MemoryCommit]:
        """All commits that ever went through, in order."""
        return tuple(self._state.commits)

    def rebalance(self, group_id: str) -> None:
        """Let a group rebalance. If its rebalances are incremental, nothing may have to move."""
        self._state.group(group_id).rebalance(now())

    def expel(self, member: str | Consumer, *, unnoticed_for_s: float = 0.0) -> None:
        """Drop a member from its group as if its session had run out.

        For `unnoticed_for_s`, or until a commit is refused, the member goes on reading what others
        may own by then; after that it gets a revocation with `lost`.
        """
        name = member.member_id if isinstance(member, MemoryConsumer) else member
        for group in self._state.groups.values():
            for each in group.members():
                if each.name == name:
                    group.expel(each, now(), notices_at=now() + unnoticed_for_s)
                    return
        raise Misuse(f"no group has a member {name!r}")

    # -- faults --------------------------------------------------------------------------

    def fail_starts(self, error: Exception, times: int = 1, *, member: str | None = None) -> None:
        """Let the next starts of consumers and producers fail."""
        self._state.faults.starts.append(Failure(error, times, member))

    def fail_next_poll(self, error: Exception, *, member: str | None = None) -> None:
        """Let the next poll fail, or a poll that waits; a `ConsumerFailed` ends its consumer."""
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
        """Let the next commits fail; with `applied` they go through, and only the answer fails."""
        error = error or CommitFailed("ordered by the test")
        self._state.faults.commits.append(Failure(error, times, member, applied))

    def hold_commits(self) -> None:
        """Keep commits unanswered from now on, also those whose caller no longer waits."""
        self._state.faults.holds_commits = True

    def release_commits(self) -> None:
        """Carry out the commits that are held, each if its assignment is not over by now."""
        self._state.faults.holds_commits = False
        held, self._state.held_commits = self._state.held_commits, []
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
        spoils: bool = False,
    ) -> None:
        """Let the next sends fail; with `applied` the record arrives, and only the answer fails.

        With `spoils` the record's partition takes no more records of that producer, as if its
        sequence numbers there were wrong from then on, so that it has to be replaced.
        """
        error = error or SendFailed("ordered by the test", in_doubt=applied)
        self._state.faults.sends.append(Failure(error, times, producer, applied, spoils))

    def fail_transactions(
        self,
        error: Exception | None = None,
        times: int = 1,
        *,
        applied: bool = False,
        producer: str | None = None,
    ) -> None:
        """Let the next commits of transactions fail, by default with a `TransactionFailed`.

        A `TransactionInDoubt` is followed by the same commit, which goes through, or has already
        with `applied`. A `ProducerFailed` ends its producer.
        """
        error = error or TransactionFailed("ordered by the test")
        self._state.faults.transactions.append(Failure(error, times, producer, applied))

    def hold_transactions(self) -> None:
        """Keep commits of transactions on their way from now on, so that they are in doubt."""
        self._state.faults.holds_transactions = True

    def release_transactions(self) -> None:
        """Carry out the commits of transactions that are held, unless they took too long."""
        self._state.faults.holds_transactions = False
        self._state.expire(now())
        held, self._state.held_ends = self._state.held_ends, []
        for transaction in held:
            self._state.end(transaction, committed=True)
        self._state.signal.fire()

    def hold_sends(self) -> None:
        """Keep records on their way from now on, whether they are still wanted or not."""
        self._state.faults.holds_sends = True

    def release_sends(self) -> None:
        """Let the records that are held arrive."""
        self._state.faults.holds_sends = False
        self._state.signal.fire()

    def fail_producer(
        self, error: ProducerFailed | None = None, *, producer: str | None = None
    ) -> None:
        """Let a producer fail for good, or without a name every producer that is open now.

        Records that were sent and not acknowledged are reported as in doubt.
        """
        for each in list(self._producers):
            if producer in (None, each.client_id):
                each.fail(error or ProducerFailed("ordered by the test"))

    def down(self) -> None:
        """Let no broker be reached: no records, no commits, no rebalances, and sends wait."""
        if not self._state.faults.down:
            self._state.faults.down_since = now()
            self._set_reachable(False)

    def up(self) -> None:
        """End the outage; members whose session it has outlasted are out of their groups."""
        since = self._state.faults.down_since
        if since is None:
            return
        self._state.faults.down_since = None
        self._set_reachable(True)
        for group in self._state.groups.values():
            for member in group.members():
                if now() - since >= member.options.session_timeout_s:
                    group.expel(member, now(), notices_at=now())
            group.advance(now())
        self._state.signal.fire()

    def _set_reachable(self, reachable: bool) -> None:
        for group in self._state.groups.values():
            group.reachable = reachable

    def slow_down(self, *, poll_s: float = 0.0, commit_s: float = 0.0, send_s: float = 0.0) -> None:
        """Let every poll, commit and acknowledgement take this long from now on."""
        self._state.faults.poll_latency_s = poll_s
        self._state.faults.commit_latency_s = commit_s
        self._state.faults.send_latency_s = send_s

    def spoil(self, partition: TopicPartition, reason: str, records: int = 1) -> None:
        """Let the next batch of a partition, of so many records, not decode.

        It holds the partition, and the health shows the reason; or it is skipped.
        """
        self._state.faults.spoiled[TopicPartition(*partition)] = reason
        self._state.faults.spoiled_records[TopicPartition(*partition)] = records

    def mend(self, partition: TopicPartition) -> None:
        """Let a spoiled partition be read on."""
        del self._state.faults.spoiled[TopicPartition(*partition)]
        self._state.signal.fire()
