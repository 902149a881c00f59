"""What the actors need of Kafka, and no more: implemented by the aiokafka adapter and by the
in-memory twin in `sdml_kafka.testing`, which pass one contract suite."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from attrs import frozen

ConsumerFactory = Callable[[], object]
"""A user's function that returns a new consumer of the client below, such as an
`aiokafka.AIOKafkaConsumer`; `object`, since aiokafka is not typed."""

ProducerFactory = Callable[[], object]
"""A user's function that returns a new producer of the client below, such as an
`aiokafka.AIOKafkaProducer`; `object`, since aiokafka is not typed."""


class TopicPartition(NamedTuple):
    """Equal to aiokafka's `TopicPartition`, and as a mapping's key interchangeable with it."""

    topic: str
    partition: int


class Record(Protocol):
    """A record as it came from Kafka; aiokafka's `ConsumerRecord` is one."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@frozen
class Assignment:
    """The partitions that are ours from now on, each positioned.

    `epoch` counts the assignments of this consumer. `positions` is the offset that each
    partition is read from, `committed` what the group had committed (None: nothing yet).
    """

    epoch: int
    positions: Mapping[TopicPartition, int]
    committed: Mapping[TopicPartition, int | None]
    elsewhere: frozenset[TopicPartition] = frozenset()
    """Partitions of our topics that are not assigned to us: other members of the group have them.
    Only looked up for a member that reads a `Tail`."""


@frozen
class Tail:
    """How a member reads that commits nothing: from the end as of the first assignment, whatever
    the group has committed, and after a rebalance on from where it was: what a poll has brought
    does not come again. Partitions that appear later are read from their beginning, and so is
    what is left where an offset is not there any more.

    `positions`: where to go on in partitions that an earlier consumer read; those of the same
    topics that it did not have came later. `share`: of each
    topic fetch one partition only, the one that is in `positions` (the lowest of several), else
    number `share` modulo their count; the others are assigned, yet neither fetched nor in
    `Assignment.positions`, and a `Revocation` does not name them.
    """

    positions: Mapping[TopicPartition, int] = {}
    share: int | None = None


@frozen
class Revocation:
    """Partitions that are being taken away; the rebalance waits until `release` is called.

    `lost`: the member was out of the group by then, so others may own the partitions already:
    nothing may be committed for them. `deadline_s` is how long the group will wait, from now.
    """

    epoch: int
    partitions: frozenset[TopicPartition]
    lost: bool
    deadline_s: float
    release: Callable[[], None]


@frozen
class Health:
    """What the client knows of the world without asking."""

    connected: bool
    high_watermarks: Mapping[TopicPartition, int]
    missing_topics: frozenset[str] = frozenset()
    held: Mapping[TopicPartition, str] = {}
    """Partitions that cannot be read on, with the reason (a batch that does not decode)."""


@frozen
class Polled:
    """One poll's harvest. An assignment comes before the first records that belong to it."""

    records: Mapping[TopicPartition, Sequence[Record]]
    assignment: Assignment | None = None
    health: Health | None = None
    """Only when it was looked at again."""


class Consumer(Protocol):
    """One member of a group. Every call ends within its time-out and may be cancelled:
    then nothing is left waiting, though a request already sent may still be carried out."""

    @property
    def settings(self) -> "ConsumerSettings": ...

    async def start(
        self, topics: Collection[str], timeout_s: float, tail: Tail | None = None
    ) -> None:
        """Join the group. Raises ConfigurationError, BrokerUnreachable, AuthenticationFailed,
        AuthorizationFailed. The first assignment comes out of `poll`. Without a `tail` reading
        starts at what the group has committed."""

    def poll(
        self, ready: Collection[TopicPartition], max_records: int, timeout_s: float
    ) -> Coroutine[Any, Any, Polled]:
        """Records of the partitions in `ready` alone (none: only keep the membership alive), at
        most `max_records` of each.

        Never raises for an outage. Raises AuthorizationFailed, and ConsumerFailed when this
        consumer has to be replaced.
        """
        ...

    def nudge(self) -> None:
        """Let a poll that waits return now, since other partitions are ready. Never waits."""

    async def revocation(self) -> Revocation:
        """Wait for the next one. It must be released, whatever happens."""
        ...

    async def commit(
        self, epoch: int, offsets: Mapping[TopicPartition, int], timeout_s: float
    ) -> None:
        """Commit the offset of the next record to read, of partitions assigned in `epoch`.

        At most one at a time. Raises CommitRejected when that epoch is over, CommitFailed when
        it did not get through in time (it may have all the same), AuthorizationFailed.
        """

    async def close(self, timeout_s: float) -> None:
        """Leave the group and let go of every socket and task. Commits nothing."""


@frozen
class ConsumerSettings:
    """What the user's consumer was built with, as far as the runtime minds."""

    group_id: str
    auto_commit_interval_s: float | None
    """None: it was built with `enable_auto_commit=False`."""
    rebalance_timeout_s: float
    poll_records: int = 2000
    """How many records a poll should take at most. The default is about what one fetch of a
    partition brings (1 MB), emptied at once, since a client that empties its partitions bit by
    bit also fetches bit by bit; decoding them holds up the client's event loop for some 5 ms."""


Connect = Callable[[], AbstractAsyncContextManager[Consumer]]
"""Makes a new consumer, not yet started; leaving the context closes what is left of it."""


class Message(NamedTuple):
    """A record to be sent. Without a `partition` the key decides; without a key, or where the key
    only tells who is meant (`by_key` False), any will do: then they take turns."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None
    by_key: bool = True


OnSent = Callable[[Exception | None], None]
"""Told on the program's side, once: None when the broker has acknowledged the record."""


def always() -> bool:
    return True


class Producer(Protocol):
    """Sends records, in the order of the calls for each partition as far as nothing fails."""

    @property
    def connected(self) -> bool: ...

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        """With `creates_topics` a broker that creates topics by itself does so for those that are
        sent to. Raises ConfigurationError, BrokerUnreachable, AuthenticationFailed."""

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        """Never waits and never raises, and `on_sent` is not called within it. `is_wanted` is
        asked while the record has to wait, and before it goes out: when it is not any more, it is
        dropped and nobody is told. Another thread may ask: it only looks.

        Told errors: TopicMissing (the broker neither has the topic nor creates it),
        PayloadTooLarge, AuthorizationFailed, ConfigurationError (a name or partition that cannot
        be), SendFailed (`in_doubt`: it may have arrived all the same). An outage is no error: the
        record waits for the broker as long as the client below waits.
        """

    async def flush(self, timeout_s: float) -> bool:
        """Until everything given to `send` was told or dropped; False when that takes longer."""
        ...

    async def watch(self) -> None:
        """Wait until this producer has to be replaced, then raise ProducerFailed."""

    async def create_topic(
        self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float
    ) -> bool:
        """False: it was there. Raises AuthorizationFailed, ConfigurationError, SendFailed."""
        ...

    async def delete_topic(self, topic: str, timeout_s: float) -> None:
        """Also when it is not there. Raises AuthorizationFailed, SendFailed."""

    async def live_members(self, group_id: str, timeout_s: float) -> int:
        """How many members the group has. Raises AuthorizationFailed, SendFailed."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Let go of every socket and task. What has gone out and was not acknowledged by then is
        told as SendFailed in doubt, what has not gone out as SendFailed."""


ConnectProducer = Callable[[], AbstractAsyncContextManager[Producer]]
"""Makes a new producer, not yet started; leaving the context closes what is left of it."""


@frozen
class Transport:
    """Both halves of what calls travel over."""

    consumer: Connect
    producer: ConnectProducer


OnRebalance = Callable[[frozenset[TopicPartition]], Awaitable[None]]
"""The user's own callback, on the program's side of the client."""
