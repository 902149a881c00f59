"""A client's status as a frozen value, and the counts behind it."""

from collections.abc import Iterable, Sequence

from attrs import define, frozen

from sdml_kafka.rpc.call_in_flight import CallInFlight
from sdml_kafka.rpc.client.held_replies import HeldReply
from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.runtime.events import RecentEvent
from sdml_kafka.runtime.snapshot import all_actors
from sdml_kafka.transport.interfaces.records import TopicPartition


@frozen
class RPCCounters:
    """Numbers since the client was entered."""

    calls: int
    replies: int
    """Replies that found their call, errors and replies that did not parse included."""
    timeouts: int
    late_replies: int
    """Replies to calls of this client that were over: answered already, timed out, cancelled."""
    foreign_replies: int
    """Replies to nobody here: with an unknown id, or in a topic that the call does not read."""
    ambiguous_replies: int
    """Replies without an id, with a key that several calls share."""
    invalid_replies: int
    """Replies that did not parse, or to another type than the call expects."""
    restarts: int


@frozen
class RPCStatus:
    """A client at one moment: what it is doing."""

    tree: ActorSnapshot
    connected: bool
    """True if both the producer and the consumer have a connection to a broker."""
    in_flight: int
    """The number of calls that wait for their replies."""
    reply_partitions: frozenset[TopicPartition]
    """The partitions in which the client reads its replies."""
    counters: RPCCounters
    client: str = "other"
    """The Kafka client: "aiokafka", "librdkafka", or "other" if a `transport` was given."""
    recent: Sequence[RecentEvent] = ()
    """The last crashes and restarts of actors, the latest last; at most 50."""
    oldest: Sequence[CallInFlight] = ()
    """The calls that have waited longest for their replies, the first one first; at most 20."""
    sends_waiting: int = 0
    """The number of requests and other records that wait to be acknowledged."""
    waits_for: str | None = None
    """Why the reply that has been held longest cannot be parsed yet, such as "schema registry
    away"; None if none is held."""
    waits_for_s: float = 0.0
    """Seconds that this reply has been held."""


@define(eq=False)
class Counts:
    """The counts of the actors; `RPCCounters` shows them."""

    calls: int = 0
    replies: int = 0
    timeouts: int = 0
    late: int = 0
    foreign: int = 0
    ambiguous: int = 0
    invalid: int = 0


def rpc_status(
    tree: ActorSnapshot,
    counts: Counts,
    *,
    connected: bool,
    in_flight: int,
    reply_partitions: Iterable[TopicPartition],
    client: str,
    recent: Sequence[RecentEvent],
    oldest: Sequence[CallInFlight],
    sends_waiting: int,
    held: HeldReply | None,
) -> RPCStatus:
    """Return the status of a client with these actors and counts."""
    return RPCStatus(
        tree=tree,
        connected=connected,
        in_flight=in_flight,
        reply_partitions=frozenset(reply_partitions),
        counters=RPCCounters(
            calls=counts.calls,
            replies=counts.replies,
            timeouts=counts.timeouts,
            late_replies=counts.late,
            foreign_replies=counts.foreign,
            ambiguous_replies=counts.ambiguous,
            invalid_replies=counts.invalid,
            restarts=sum(actor.restarts for actor in all_actors(tree)),
        ),
        client=client,
        recent=recent,
        oldest=oldest,
        sends_waiting=sends_waiting,
        waits_for=None if held is None else held.why,
        waits_for_s=0.0 if held is None else held.for_s,
    )
