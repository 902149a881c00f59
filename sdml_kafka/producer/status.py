"""A producer's status as a frozen value."""

from collections.abc import Sequence

from attrs import frozen

from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.runtime.events import RecentEvent


@frozen
class ProducerStatus:
    """A producer at one moment: what it is doing."""

    tree: ActorSnapshot
    """The supervisor and its actors."""
    connected: bool
    """True if a broker can be reached, as far as is known without asking."""
    waiting: int
    """The number of records that wait for their acknowledgements."""
    sent: int
    """The number of records that were acknowledged since the producer was entered."""
    failed: int
    """The number of records that were not acknowledged."""
    restarts: int
    """The number of restarts of actors."""
    client: str = "other"
    """The Kafka client: "aiokafka", "librdkafka", or "other" if a `transport` was given."""
    committed: int = 0
    """The number of transactions that were committed since the producer was entered."""
    aborted: int = 0
    """The number of transactions that were aborted."""
    recent: Sequence[RecentEvent] = ()
    """The last crashes and restarts of actors, the latest last; at most 50."""
