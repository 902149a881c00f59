"""The port: what the package needs of a Kafka client, and no more.

A driver implements `Consumer` and `Producer` and offers a `Connect` and a `ConnectProducer`,
functions that open one each. aiokafka's is in `transport/aiokafka/`; the broker in memory
(`sdml_kafka.testing.MemoryBroker`) has its own. Whatever claims to implement the port passes the
contract suites in `tests/support/contracts/`, on asyncio and on trio.

Rules for a driver:

- The methods are called in the task and thread of the program, on asyncio or on trio, and so are
  the callbacks that a driver gets. Where the client itself runs is the driver's affair.
- Each awaited call ends within its `timeout_s` (a `close` a little later) and may be cancelled.
  Then it leaves no task behind, though a request that has gone out may still be carried out.
- Only errors of `sdml_kafka.errors` come out, with a text that says what to do. An outage is no
  error where waiting may mend it: a broker comes back.
- Leaving the context that `Connect` or `ConnectProducer` gave closes what is still open.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from attrs import frozen

from sdml_kafka.errors import ProducerFailed, SdmlKafkaError


class TopicPartition(NamedTuple):
    """A partition of a topic; as a key interchangeable with aiokafka's `TopicPartition`."""

    topic: str
    partition: int


class Record(Protocol):
    """A record as the client received it; aiokafka's `ConsumerRecord` is one."""

    @property
    def topic(self) -> str:
        """The topic that the record was read from."""
        ...

    @property
    def partition(self) -> int:
        """The number of its partition, from 0."""
        ...

    @property
    def offset(self) -> int:
        """The position of the record in its partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        ...

    @property
    def timestamp_type(self) -> int:
        """0 if the producer has set the timestamp, 1 if the broker has."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key as it was sent, None if there is none."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value as it was sent, None for a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """The names and values of the headers, in the order in which they were sent."""
        ...

    @property
    def serialized_key_size(self) -> int:
        """The number of bytes of the key, -1 if there is none."""
        ...

    @property
    def serialized_value_size(self) -> int:
        """The number of bytes of the value, -1 if there is none."""
        ...


# -- what a consumer is given and gives back -------------------------------------------------


@frozen
class Commit:
    """What a group has committed for a partition."""

    offset: int
    """The offset of the next record to read."""
    metadata: str = ""
    """A text that was committed with it. A broker takes 4,096 characters on Kafka's settings; if it
    takes fewer, the offset is committed without the text."""


@frozen
class Assignment:
    """The partitions that are this consumer's from now on, each with its position.

    A consumer without partitions gets an assignment too, an empty one.
    """

    epoch: int
    """The number of this consumer's assignment, larger than that of every one before."""
    positions: Mapping[TopicPartition, int]
    """The offset that each partition is read from."""
    committed: Mapping[TopicPartition, Commit | None]
    """What the group has committed for each partition, None where it has nothing."""
    elsewhere: frozenset[TopicPartition] = frozenset()
    """The partitions of this consumer's topics that other members of the group have. They are
    looked up for a consumer that reads a `Tail`, and left empty for any other."""
    adds: bool = False
    """Whether the partitions come on top of those of before, which are read on."""


@frozen
class Tail:
    """How a consumer reads that commits nothing, such as a client's that waits for replies.

    What the group has committed does not count. Reading starts at each partition's end as of the
    first assignment. After a rebalance it goes on behind the last record that a poll returned,
    also where another member had the partition meanwhile. Partitions that appear later are looked
    for every few seconds and read from their beginning, and so is what is left of a partition
    whose next offset is gone.
    """

    positions: Mapping[TopicPartition, int] = {}
    """The offsets at which to go on in partitions that an earlier consumer has read. A partition
    that is missing here although others of its topic are present counts as having
    appeared later."""
    share: int | None = None
    """With a number only one partition of each topic is fetched: the one in `positions` (the
    lowest of several), else number `share` modulo the topic's number of partitions. It stays the
    same as long as it exists. The others are assigned as well, so that no other member gets them,
    but neither `Assignment.positions` nor `Revocation.partitions` names them."""


@frozen
class Revocation:
    """Partitions that the broker takes away. The rebalance waits until `release` is called."""

    epoch: int
    """The epoch of the assignment that ends."""
    partitions: frozenset[TopicPartition]
    lost: bool
    """Whether the member was out of its group already. Then others may own the partitions, and
    nothing may be committed for them."""
    deadline_s: float
    """Seconds from now that the group waits at most."""
    release: Callable[[], None]
    """Let the rebalance go on. Never waits, and may be called again."""


class End(NamedTuple):
    """The offset at which a partition ends, as a broker has answered."""

    offset: int
    age_s: float
    """Seconds since a broker answered so, or since it was asked."""


@frozen
class Health:
    """What the client knows without waiting for the broker."""

    connected: bool
    high_watermarks: Mapping[TopicPartition, int]
    """The end of each assigned partition's log, where that is known."""
    missing_topics: frozenset[str] = frozenset()
    """The consumer's topics that do not exist. Each is read once it does."""
    mark_ages_s: Mapping[TopicPartition, float] = {}
    """For each high watermark that a broker has answered with, how many seconds ago that was."""
    held: Mapping[TopicPartition, str] = {}
    """The partitions that cannot be read on, with the reason (a batch that does not decode)."""
    obstacle: SdmlKafkaError | None = None
    """What keeps the consumer from getting or reading its partitions, None if nothing is known to.
    It may pass by itself; whoever has waited long enough raises it."""
    ends: Mapping[TopicPartition, End] = {}
    """The end of what this consumer can read of each assigned partition: the high watermark, or if
    it reads committed records only, the last stable offset, at which the first open transaction
    begins. An assignment brings them, and later fetches. For partitions that are not fetched
    a broker is asked now and then, but for a `Tail`."""
    unreachable: Mapping[str, str] = {}
    """The brokers that the client has failed to connect to lately, with the reason."""
    nearest_topics: Mapping[str, str] = {}
    """For topics that were missing at the start, the existing one with the most similar name."""


@frozen
class Jump:
    """Reading goes on elsewhere than at the offset that was next, since that offset is gone."""

    partition: TopicPartition
    expected: int
    """The offset that was to be read next."""
    position: int
    """The offset that is read next."""
    reason: str
    """Why, as a clause such as "the offset was deleted"."""

    @property
    def lost(self) -> int:
        """The number of offsets that are never read, 0 if reading goes back."""
        return max(0, self.position - self.expected)

    def __str__(self) -> str:
        topic, partition = self.partition
        lost = f": {self.lost} offsets are lost" if self.lost else ""
        return (
            f"{topic!r} partition {partition}: {self.reason}; reading goes on at "
            f"{self.position}, not at {self.expected}{lost}"
        )


DELETED = "the offset to be read next was deleted (does retention suit the readers?)"
REPLACED = "the log ends before the offset to be read next, so it was created anew or restored"


@frozen
class Polled:
    """What one poll returned. An assignment precedes the first records that belong to it."""

    records: Mapping[TopicPartition, Sequence[Record]]
    """Records of ready partitions, in the order of their offsets. Offsets that are lower than
    before are those of another log: the topic was created anew, or restored."""
    assignment: Assignment | None = None
    """The assignment that began with this poll, if one did."""
    health: Health | None = None
    """The client's health if it was looked at in this poll, which happens now and then."""
    positions: Mapping[TopicPartition, int] = {}
    """The offset that is read next after `records`, of partitions where that is news: not the one
    behind the last record, nor that of an earlier poll. Transaction markers and aborted records
    are passed over, and where an offset is gone reading goes on at the log's beginning."""
    jumps: Sequence[Jump] = ()
    """Where reading goes on elsewhere than it should have, since the last poll."""
    corrupt: Sequence[Jump] = ()
    """Where batches that do not decode were skipped since the last poll, if that was asked for."""


@frozen
class ConsumerSettings:
    """The settings of the user's consumer that the package has to know."""

    group_id: str
    """The consumer's group; empty for one in no group, which can only read a `Tail`."""
    auto_commit_interval_s: float | None
    """Seconds between automatic commits; None if it was built with `enable_auto_commit=False`."""
    rebalance_timeout_s: float
    """Seconds that the group waits in a rebalance for its members."""
    stall_limit_s: float = 10.0
    """Seconds that the program's event loop may stand still before the group takes the partitions
    away: until its session times out, or where heartbeats come from another thread, until it counts
    as idle."""
    poll_records: int = 2000
    """The number of records that a poll should take at most. The default is about what one fetch
    of a partition brings (1 MB), taken at once, since a client that empties its partitions bit by
    bit also fetches bit by bit; decoding so many holds up the client's event loop for some 5 ms."""


Target = int | Literal["earliest", "latest"] | datetime
"""Where to read from: an offset, the first or the last end of the log, or the first record that is
as late as a time, which has a time zone."""


POLL_TIMEOUT_S = 0.5
"""Seconds that a poll should wait for records. A shorter wait would cost an idle program its
processor, and a longer one keep the health from being reported."""


class Consumer(Protocol):
    """One member of a consumer group.

    `poll` is called again and again by one task, `revocation` by another one, `commit` by any.
    """

    @property
    def settings(self) -> ConsumerSettings:
        """The settings of the user's consumer that the package has to know."""
        ...

    async def start(
        self,
        topics: Collection[str],
        timeout_s: float,
        tail: Tail | None = None,
        *,
        create_topics: bool = False,
        skips_corrupt: bool = False,
    ) -> None:
        """Connect and join the group. The first assignment comes out of `poll`.

        Args:
            topics: The topics to read. They need not exist yet. Reading creates none, whatever the
                broker does by itself.
            timeout_s: Seconds within which a broker has to answer.
            tail: How to read without commits. None starts each partition at what the group has
                committed, or at the log's beginning if that offset was deleted; without a commit,
                or with one beyond the log's end, as the consumer's `auto_offset_reset` says; but
                from its beginning if it appeared after the group began to read its topic.
            create_topics: Whether to create the topics that are missing now, with the number of
                partitions and the settings that the broker is configured with.
            skips_corrupt: Whether to go on behind a batch that does not decode, which holds its
                partition otherwise.

        Raises:
            BrokerUnreachable: No broker answered in time. A new consumer may be tried.
            AuthenticationFailed: The broker refused the credentials, or its certificate was not
                accepted.
            AuthorizationFailed: The broker does not let this client read.
            ConfigurationError: A setting cannot work.
            ConsumerFailed: The client did not start for any other reason.
        """

    def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Coroutine[Any, Any, Polled]:
        """Wait for records of the partitions in `ready`, for an assignment, or for a nudge.

        Every call keeps the membership alive, also with an empty `ready`. A partition that is not
        ready loses nothing: its records come once it is. From a revocation until the next
        assignment no records are returned. In an outage none are returned and nothing is raised;
        `Health` shows it.

        Args:
            ready: The partitions whose records may be returned. Partitions that are not assigned
                are ignored.
            max_records: The number of records of each partition that are returned at most.
            timeout_s: Seconds after which the call returns without records.
            seeks: The number of the last seek that the caller knows of. Of partitions that a later
                one has moved no records are returned.

        Returns:
            The records, with the assignment and the health if either is new.

        Raises:
            AuthorizationFailed: The broker does not let this group read.
            AuthenticationFailed: The broker refused the credentials.
            ConfigurationError: A setting cannot work, which showed only now.
            ConsumerFailed: This consumer is closed or broken and has to be replaced.
        """
        ...

    def sizes(self, records: Sequence[Record]) -> Sequence[int]:
        """Return the bytes of each record: its key, value and headers as sent. Never waits."""
        ...

    def nudge(self) -> None:
        """Make a poll that waits return now, since other partitions are ready. Never waits.

        A nudge that meets no waiting poll may end the next one early.
        """

    async def revocation(self) -> Revocation:
        """Wait for a revocation and return it. Its `release` has to be called, come what may.

        Until then the same revocation is returned again, so that a cancelled wait loses none.
        """
        ...

    async def seek(
        self, epoch: int, number: int, targets: Mapping[TopicPartition, Target], timeout_s: float
    ) -> Mapping[TopicPartition, int]:
        """Read partitions from elsewhere on. Does not wait for a poll, and commits nothing.

        Whatever was fetched of them is dropped. From now on their records are returned by polls
        that know of this seek, and no others. An offset that is gone is treated as ever: reading
        goes on at the log's beginning, which is a jump.

        Args:
            epoch: The epoch of the assignment that the partitions belong to.
            number: The number of the seek, larger than that of every one before.
            targets: Where to read each partition from.
            timeout_s: Seconds within which brokers have to say where that is.

        Returns:
            The offset that each partition is read from.

        Raises:
            SeekFailed: A partition is not assigned (any more), or no broker answered in time. None
                was moved.
            AuthorizationFailed: The broker does not let this client read.
        """
        ...

    async def commit(
        self, epoch: int, commits: Mapping[TopicPartition, Commit], timeout_s: float
    ) -> None:
        """Commit for the group. Does not wait for a poll.

        One commit is in flight at a time, in the order of the calls. None is sent once its
        assignment is over, since the broker checks membership, not ownership.

        Args:
            epoch: The epoch of the assignment that the partitions belong to.
            commits: For each partition the offset of the next record to read, and a text.
            timeout_s: Seconds within which the broker has to answer.

        Raises:
            CommitRejected: The assignment is over, the member is out of its group, or the consumer
                is closed.
            CommitFailed: No answer came in time (the commit may have gone through all the same),
                or the broker refused the commit.
            AuthorizationFailed: The broker does not let this group commit.
        """

    async def close(self, timeout_s: float) -> None:
        """Leave the group and close every socket and task. Commits nothing; may be called again.

        Does not wait for the release of a revocation: whatever holds up the rebalance need not
        any more.
        """


Connect = Callable[[], AbstractAsyncContextManager[Consumer]]
"""Opens a new consumer, not started yet. Leaving the context closes it.

Where a broker's clock is not the wall time, the function has it as its attribute `clock`.
"""

ConsumerFactory = Callable[[], object]
"""A user's function that returns a new consumer of the client below, such as an
`aiokafka.AIOKafkaConsumer`; `object`, since aiokafka is not typed."""


# -- what a producer is given ----------------------------------------------------------------


class Receipt(Protocol):
    """Takes the place of a record that the broker has acknowledged."""

    def acknowledged(self, partition: int, offset: int, timestamp_ms: int | None) -> None:
        """Take the place, just before `on_sent` is called, in the same thread.

        Args:
            partition: The number of the partition.
            offset: The offset there, -1 if the broker was not asked for it.
            timestamp_ms: The broker's time if it has set the record's timestamp, else None.
        """


class Message(NamedTuple):
    """A record to send.

    Without a `partition` the key decides on it. Records without a key take turns in all
    partitions, and so do records whose key does not decide (`by_key` False): it only names whom
    they are for.
    """

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None
    by_key: bool = True
    timestamp_ms: int | None = None
    """The record's time in milliseconds since the epoch, None for the time of sending."""
    receipt: Receipt | None = None
    """Takes the record's place, if somebody asks for it."""


OnSent = Callable[[Exception | None], None]
"""Called once with a record's outcome: None when the broker has acknowledged it, else the error.
The call comes in the program's thread, never from within `send`. An exception in it is logged. An
object with an attribute `waits_for_ack` that is False need not be called with None: to wake another
thread for an acknowledgement costs as much as a call of RPC."""


class ProducerSpent(ProducerFailed):
    """One partition takes no more records of this producer, for which all else is well."""


def always() -> bool:
    """Return True, for a message that is wanted whatever happens."""
    return True


class Producer(Protocol):
    """Sends records; in each partition in the order of the calls, as long as nothing fails."""

    @property
    def connected(self) -> bool:
        """Whether a broker can be reached, as far as the client knows without asking."""
        ...

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        """Connect to a broker.

        Args:
            timeout_s: Seconds within which a broker has to answer.
            creates_topics: Whether a broker that creates topics by itself may create the topics
                that records are sent to.

        Raises:
            BrokerUnreachable: No broker answered in time. A new producer may be tried.
            AuthenticationFailed: The broker refused the credentials, or its certificate was not
                accepted.
            AuthorizationFailed: The broker does not let this client produce.
            ConfigurationError: A setting cannot work.
            ProducerFailed: The client did not start for any other reason.
        """

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        """Send a record. Never waits and never raises.

        An outage is no error: the record waits for the broker, as long as the client below waits.
        After `close` every record fails with a SendFailed, also once the context is left.
        The errors that `on_sent` may be called with:

        - TopicMissing: the broker neither has the topic nor creates it.
        - PayloadTooLarge: the client, the broker or the topic takes no record of that size.
        - RecordRefused: the broker refuses the record for another reason, and would do so again.
        - AuthorizationFailed: the broker does not let this client write to the topic.
        - ConfigurationError: no broker could take the record, or not in that partition.
        - SendFailed: anything else; with `in_doubt` the record may have arrived.

        Args:
            message: The record.
            on_sent: Called with the outcome, once, unless the record was dropped.
            is_wanted: Asked while the record waits and before it goes out. When the answer is
                False the record is dropped, and `on_sent` is not called. Any thread may ask, so
                this function must change nothing.
        """

    async def flush(self, timeout_s: float) -> bool:
        """Wait until every record given to `send` has its outcome or was dropped.

        Returns:
            Whether that was so within `timeout_s`.
        """
        ...

    async def watch(self) -> None:
        """Wait until this producer has to be replaced.

        Raises:
            ProducerSpent: One partition takes no more of its records. The others still do, so that
                this is no fault that a new producer could have as well.
            ProducerFailed: It has failed in any other way.
        """

    async def create_topic(
        self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float
    ) -> bool:
        """Create a topic, and wait until it can be written to.

        Args:
            topic: Its name.
            partitions: Its number of partitions.
            config: Kafka's settings of a topic, such as `retention.ms`.
            timeout_s: Seconds within which all of that has to be done.

        Returns:
            Whether the topic is new; False if it existed.

        Raises:
            AuthenticationFailed: The broker refused the credentials.
            AuthorizationFailed: The broker does not let this client create the topic.
            ConfigurationError: The name, the number or a setting is refused.
            SendFailed: It was not done in time; it may be done all the same.
        """
        ...

    async def delete_topic(self, topic: str, timeout_s: float) -> None:
        """Delete a topic, and wait until it is gone. A missing topic is no error.

        Raises:
            AuthenticationFailed: The broker refused the credentials.
            AuthorizationFailed: The broker does not let this client delete the topic.
            ConfigurationError: The broker refuses to delete it.
            SendFailed: It was not done in time; it may be done all the same.
        """

    async def partition_counts(
        self, topics: Collection[str], timeout_s: float
    ) -> Mapping[str, int]:
        """Return each topic's number of partitions, 0 if it does not exist. Creates none.

        Raises:
            AuthenticationFailed: The broker refused the credentials.
            AuthorizationFailed: The broker does not let this client see one of the topics.
            ConfigurationError: The broker refuses one of the names.
            SendFailed: No broker answered in time.
        """
        ...

    async def live_members(self, group_id: str, timeout_s: float) -> int:
        """Return the number of the group's members, 0 if there is no such group.

        Raises:
            AuthenticationFailed: The broker refused the credentials.
            AuthorizationFailed: The broker does not let this client describe the group.
            ConfigurationError: The broker refuses to describe it.
            SendFailed: No broker answered in time.
        """
        ...

    async def close(self, timeout_s: float) -> None:
        """Close every socket and task; may be called again.

        Records that are still on their way have `timeout_s` to be acknowledged. Then `on_sent` is
        called with a SendFailed for each of the others: in doubt if the record has gone out.
        """


ConnectProducer = Callable[[], AbstractAsyncContextManager[Producer]]
"""Opens a new producer, not started yet. Leaving the context closes it."""

ProducerFactory = Callable[[], object]
"""A user's function that returns a new producer of the client below, such as an
`aiokafka.AIOKafkaProducer`; `object`, since aiokafka is not typed."""


@frozen
class Transport:
    """The functions that open the consumer and the producer of an RPC client or server."""

    consumer: Connect
    producer: ConnectProducer


@frozen
class ListenerTransport:
    """The functions that open the consumer of a listener, and its producer if there is one."""

    consumer: Connect
    producer: ConnectProducer | None


OnRebalance = Callable[[frozenset[TopicPartition]], Awaitable[None]]
"""A user's callback for a rebalance, called in the program's own task."""
