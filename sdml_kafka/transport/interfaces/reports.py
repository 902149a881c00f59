"""The settings of a consumer as it starts, and its reports: polls, assignments, health."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from attrs import frozen

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.interfaces.records import Record, TopicPartition


@frozen
class Commit:
    """A group's commit for a partition."""

    offset: int
    """The offset of the next record to read."""
    metadata: str = ""
    """A text that was committed with it. A broker takes 4,096 characters on Kafka's settings; if it
    takes fewer, the offset is committed without the text."""


@frozen
class Assignment:
    """The partitions that are this consumer's from now on, each with its position.

    A consumer without partitions gets an assignment too, an empty one. An incremental consumer gets
    its first one when the group has counted it in, though others may have yet to release what it is
    to have.
    """

    epoch: int
    """The number of this consumer's assignment, larger than that of every one before."""
    positions: Mapping[TopicPartition, int]
    """The offset that each partition is read from."""
    committed: Mapping[TopicPartition, Commit | None]
    """The group's commit for each partition, None where it has none."""
    elsewhere: frozenset[TopicPartition] = frozenset()
    """The partitions of this consumer's topics that other members of the group have. They are
    looked up for a consumer that reads a `Tail`, and left empty for any other. An incremental
    consumer that reads a `Tail` gets an assignment after the release of each revocation as well, an
    empty one if nothing comes."""
    adds: bool = False
    """True if the partitions come on top of those of before, which are read on."""


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
    """The epoch of the assignment that ends; of an incremental consumer that of its last one."""
    partitions: frozenset[TopicPartition]
    lost: bool
    """True if the member was out of its group already. Then others may own the partitions, and
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
class Membership:
    """The terms on which a consumer is a member of its group."""

    protocol: Literal["", "classic", "consumer"] = ""
    """The group protocol of the members: "consumer" is that of KIP-848. It is empty for a
    consumer in no group."""
    session_timeout_s: float | None = None
    """Seconds after which a member that is not heard of loses its partitions. None until that is
    known: with KIP-848 the broker decides (`group.consumer.session.timeout.ms`, by default 45 s)
    and has to be asked."""


@frozen
class Health:
    """The client's health, as far as it knows without waiting for the broker."""

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
    """The reason why the consumer does not get or read its partitions, None if none is known.
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
    membership: Membership = Membership()
    """The terms on which the consumer is a member of its group."""


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
    """The result of one poll. An assignment precedes the first records that belong to it."""

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
    incremental: bool = False
    """True if rebalances move only what changes its member, and leave all else as it is; see
    `Consumer`."""
