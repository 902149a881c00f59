"""What a server is doing, as a frozen value, and what it counts for that."""

from collections.abc import Mapping

from attrs import define, field, frozen

from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.consuming.status import PartitionStatus, partition_status
from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.runtime.snapshot import all_actors
from sdml_kafka.transport.interfaces import TopicPartition

MAX_STATUSES = 100


@define(eq=False)
class Counts:
    requests: int = 0
    replies: int = 0
    one_way: int = 0
    expired: int = 0
    errors: dict[str, int] = field(factory=dict[str, int])
    """By status."""
    refused_topics: int = 0
    undeliverable: int = 0
    duplicates: int = 0
    cancelled: int = 0
    unknown_cancels: int = 0
    in_flight: int = 0
    """Requests that were started, or answered without, and have not finished."""

    def error(self, status: str) -> None:
        if status not in self.errors and len(self.errors) >= MAX_STATUSES:
            status = "other"
        self.errors[status] = self.errors.get(status, 0) + 1


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


def server_status(
    intake: Intake, tree: ActorSnapshot, counts: Counts, is_sending: bool
) -> ServerStatus:
    return ServerStatus(
        tree=tree,
        connected=intake.health.connected and is_sending,
        in_flight=counts.in_flight,
        partitions={key: partition_status(intake, p) for key, p in intake.partitions.items()},
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
            late_finishes=intake.ledger.late_finishes,
            restarts=sum(actor.restarts for actor in all_actors(tree)),
            rebalances=intake.rebalances,
        ),
    )
