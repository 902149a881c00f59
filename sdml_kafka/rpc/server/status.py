"""A server's status as frozen values, and the counts behind them."""

from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.consuming.status import PartitionStatus, partition_statuses
from sdml_kafka.rpc.call_in_flight import CallInFlight
from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.runtime.events import RecentEvent
from sdml_kafka.runtime.snapshot import all_actors
from sdml_kafka.transport.interfaces.records import TopicPartition

MAX_STATUSES = 100


@define(eq=False)
class Counts:
    """The counts of a server that runs; see `ServerCounters`."""

    requests: int = 0
    replies: int = 0
    one_way: int = 0
    expired: int = 0
    errors: dict[str, int] = field(factory=dict[str, int])
    """The number of requests answered with an error, by its status."""
    refused_topics: int = 0
    undeliverable: int = 0
    duplicates: int = 0
    cancelled: int = 0
    unknown_cancels: int = 0
    in_flight: int = 0
    """The number of requests that were started, or answered without, and have not finished."""

    def error(self, status: str) -> None:
        """Count a request that is answered with this error."""
        if status not in self.errors and len(self.errors) >= MAX_STATUSES:
            status = "other"
        self.errors[status] = self.errors.get(status, 0) + 1


@frozen
class ServerCounters:
    """The number of things that have happened since the server was entered."""

    requests: int
    """The number of requests taken up: started, or answered without."""
    replies: int
    """The number of replies that the broker acknowledged, with errors and items of streams."""
    one_way: int
    """The number of requests that asked for no reply."""
    expired: int
    """The number of requests that were not started because their deadline had passed, or
    they were older than `max_age_s`."""
    errors: Mapping[str, int]
    """The number of requests answered with an error, by its status."""
    refused_topics: int
    """The number of reply topics asked for that may not be replied to, or were too many."""
    undeliverable: int
    """The number of replies given up: the topic was missing, or the broker did not take them."""
    duplicates: int
    """The number of requests that got the answer of an earlier one with their id."""
    cancelled: int
    """The number of streams that their clients broke off."""
    unknown_cancels: int
    """The number of cancel records for streams that had ended, or never were."""
    late_finishes: int
    """The number of requests finished after their partition was revoked; they come again."""
    restarts: int
    """The number of times that an actor was restarted."""
    rebalances: int
    """The number of assignments received, with the first one."""
    jumps: int = 0
    """The number of jumps: reading went on elsewhere, since the offset to be read next was gone."""
    lost_offsets: int = 0
    """The number of offsets that were passed over then: at most so many requests are lost."""
    corrupt: int = 0
    """The number of offsets that were skipped, since what is there does not decode."""


@frozen
class ServerStatus:
    """A server at one moment: what it is doing."""

    tree: ActorSnapshot
    connected: bool
    """True if both the producer and the consumer have a connection to a broker."""
    in_flight: int
    """The number of requests taken up whose replies are not all acknowledged yet."""
    partitions: Mapping[TopicPartition, PartitionStatus]
    missing_topics: frozenset[str]
    """The request topics that do not exist; each is read as soon as it does."""
    counters: ServerCounters
    bytes_in_flight: int = 0
    """The bytes of requests, as they came, that were fetched and have not finished."""
    nearest_topics: Mapping[str, str] = {}
    """For topics that were missing at the start, the existing one with the most similar name."""
    client: str = "other"
    """The Kafka client: "aiokafka", "librdkafka", or "other" if a `transport` was given."""
    group_protocol: str = ""
    """The group protocol of the members: "classic" or "consumer" (KIP-848), empty until known."""
    session_timeout_s: float | None = None
    """Seconds after which a member that is not heard of loses its partitions. None until that is
    known. With KIP-848 the broker decides and is asked once, after joining: it stays None where
    this client may not ask (DESCRIBE_CONFIGS on the group), or gets no answer."""
    group_id: str = ""
    """The consumer group, empty until the consumer has been made."""
    recent: Sequence[RecentEvent] = ()
    """The last crashes and restarts of actors, the latest last; at most 50."""
    oldest: Sequence[CallInFlight] = ()
    """The requests in handlers that were sent first, in that order; at most 20."""
    sends_waiting: int = 0
    """The number of replies that wait to be acknowledged."""


def server_status(
    intake: Intake,
    now: float,
    tree: ActorSnapshot,
    counts: Counts,
    *,
    is_sending: bool,
    client: str,
    group_id: str,
    recent: Sequence[RecentEvent],
    oldest: Sequence[CallInFlight],
    sends_waiting: int,
) -> ServerStatus:
    """Return what the parts of a server show at this moment."""
    return ServerStatus(
        tree=tree,
        connected=intake.health.connected and is_sending,
        in_flight=counts.in_flight,
        partitions=partition_statuses(intake, now),
        missing_topics=intake.health.missing_topics,
        counters=ServerCounters(
            requests=counts.requests,
            replies=counts.replies,
            one_way=counts.one_way,
            expired=counts.expired,
            errors=dict(counts.errors),
            refused_topics=counts.refused_topics,
            undeliverable=counts.undeliverable,
            duplicates=counts.duplicates,
            cancelled=counts.cancelled,
            unknown_cancels=counts.unknown_cancels,
            late_finishes=intake.ledger.finishes.late,
            restarts=sum(actor.restarts for actor in all_actors(tree)),
            rebalances=intake.rebalances,
            jumps=intake.jumps,
            lost_offsets=intake.lost_offsets,
            corrupt=intake.corrupt,
        ),
        bytes_in_flight=intake.budget.held,
        nearest_topics=intake.health.nearest_topics,
        client=client,
        group_protocol=intake.health.membership.protocol,
        session_timeout_s=intake.health.membership.session_timeout_s,
        group_id=group_id,
        recent=recent,
        oldest=oldest,
        sends_waiting=sends_waiting,
    )
