"""What a client is doing, as a frozen value."""

from attrs import frozen

from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.transport.interfaces import TopicPartition


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
