"""What a listener is doing, as a frozen value."""

from collections.abc import Mapping

from attrs import frozen

from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.consuming.status import PartitionStatus, partition_status
from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.runtime.snapshot import all_actors
from sdml_kafka.transport.interfaces import TopicPartition


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


def listener_status(intake: Intake, tree: ActorSnapshot, parse_errors: int) -> ListenerStatus:
    intake.flush()
    ledger = intake.ledger
    return ListenerStatus(
        tree=tree,
        connected=intake.health.connected,
        partitions={key: partition_status(intake, p) for key, p in intake.partitions.items()},
        missing_topics=intake.health.missing_topics,
        counters=Counters(
            delivered=ledger.delivered(),
            finished=ledger.finished,
            parse_errors=parse_errors,
            late_finishes=ledger.late_finishes,
            restarts=sum(actor.restarts for actor in all_actors(tree)),
            rebalances=intake.rebalances,
        ),
    )
