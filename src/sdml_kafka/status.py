"""What a listener is doing, as a frozen value."""

from collections.abc import Mapping

from attrs import frozen

from sdml_kafka.kafka.port import TopicPartition
from sdml_kafka.runtime import ActorSnapshot


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
