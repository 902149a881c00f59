"""What a listener is doing, as a frozen value."""

from collections.abc import Mapping

from attrs import frozen

from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.transport.interfaces import TopicPartition


@frozen
class PartitionStatus:
    """Offsets are those of the next record: `committed` 5 means that 0 to 4 are done."""

    position: int
    """The next record to hand out."""
    committed: int | None
    """What the group has committed; None: nothing yet."""
    high_watermark: int | None
    """The end of the partition; None until the first fetch answered."""
    lag: int | None
    """Records between what has finished in order and the end."""
    in_flight: int
    """Records handed to the streams and not finished."""
    frontier_age_s: float
    """How long the lowest unfinished record has been out; 0 when all have finished."""
    held: str | None
    """Why it cannot be read on, when it holds records that do not decode."""


@frozen
class Counters:
    """Since the listener was entered."""

    delivered: int
    """Items put into loops or deliveries; one that two streams see counts twice."""
    finished: int
    """Records finished."""
    parse_errors: int
    late_finishes: int
    """Records finished after their partition had been taken away: they come again elsewhere."""
    restarts: int
    rebalances: int
    """Assignments received, the first one included."""


@frozen
class ListenerStatus:
    tree: ActorSnapshot
    connected: bool
    """Whether any broker connection is up."""
    partitions: Mapping[TopicPartition, PartitionStatus]
    missing_topics: frozenset[str]
    """Topics that do not exist; they are read as soon as they do."""
    counters: Counters


@frozen
class RPCCounters:
    """Since the client was entered."""

    calls: int
    replies: int
    """Replies that found their call, errors and those that did not parse included."""
    timeouts: int
    late_replies: int
    """To calls of this client that were over: answered already, timed out, cancelled."""
    foreign_replies: int
    """To nobody here: an unknown id, or a topic that the call does not read."""
    ambiguous_replies: int
    """Without an id, with a key that several calls share."""
    invalid_replies: int
    """Did not parse, or to another type than the call expects."""
    restarts: int


@frozen
class RPCStatus:
    tree: ActorSnapshot
    connected: bool
    """Whether both the producer and the consumer have a connection to a broker."""
    in_flight: int
    """Calls that wait for their replies."""
    reply_partitions: frozenset[TopicPartition]
    """Where the client reads its replies."""
    counters: RPCCounters


@frozen
class ServerCounters:
    """Since the server was entered."""

    requests: int
    """Requests taken up: started, or answered without."""
    replies: int
    """Replies that the broker acknowledged, errors and the items of streams included."""
    one_way: int
    """Requests that asked for no reply."""
    expired: int
    """Requests that were not started, since their deadline had passed."""
    errors: Mapping[str, int]
    """Requests answered with an error, by its status."""
    refused_topics: int
    """Reply topics that were asked for and may not be replied to, or are too many."""
    undeliverable: int
    """Replies given up: the topic does not exist, or the broker refused or did not take them."""
    duplicates: int
    """Requests that got the answer of an earlier one with their id."""
    cancelled: int
    """Streams that their clients broke off."""
    unknown_cancels: int
    """Words about streams that had ended, or never were."""
    late_finishes: int
    """Requests finished after their partition had been taken away: they come again elsewhere."""
    restarts: int
    rebalances: int
    """Assignments received, the first one included."""


@frozen
class ServerStatus:
    tree: ActorSnapshot
    connected: bool
    """Whether both the producer and the consumer have a connection to a broker."""
    in_flight: int
    """Requests taken up whose replies are not all acknowledged yet."""
    partitions: Mapping[TopicPartition, PartitionStatus]
    missing_topics: frozenset[str]
    """Request topics that do not exist; they are read as soon as they do."""
    counters: ServerCounters
