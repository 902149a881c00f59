"""A listener's status as a frozen value."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.consuming.status import PartitionStatus, partition_statuses
from sdml_kafka.listener.processing.forwards import Held
from sdml_kafka.listener.processing.status import ProcessorStatus
from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.runtime.events import RecentEvent
from sdml_kafka.runtime.snapshot import all_actors
from sdml_kafka.transport.interfaces.records import TopicPartition


@frozen
class Counters:
    """Counts since the listener was entered."""

    delivered: int
    """The number of items put into loops or deliveries; an item of two streams counts twice."""
    finished: int
    """The number of records finished."""
    parse_errors: int
    """The number of times that a record did not parse."""
    late_finishes: int
    """The number of records finished after their partition was revoked: they come again."""
    restarts: int
    """The number of restarts of actors."""
    rebalances: int
    """The number of assignments received, the first one included."""
    jumps: int = 0
    """The number of jumps: reading went on elsewhere, since the offset to be read next was gone."""
    lost_offsets: int = 0
    """The number of offsets that were passed over then: at most so many records are lost."""
    corrupt: int = 0
    """The number of offsets that were skipped, since what is there does not decode."""
    dead_letters: int = 0
    """The number of dead letters of records that did not parse, as the broker has acknowledged
    them. Processors count theirs."""


@frozen
class ListenerStatus:
    """A listener at one moment: what it is doing."""

    tree: ActorSnapshot
    """The supervisor and its actors."""
    connected: bool
    """True if any broker connection is up."""
    partitions: Mapping[TopicPartition, PartitionStatus]
    """The partitions that are assigned."""
    missing_topics: frozenset[str]
    """The topics that do not exist; each is read as soon as it does."""
    counters: Counters
    """Counts since the listener was entered."""
    bytes_in_flight: int = 0
    """The bytes of records, as they came, that were fetched and have not finished."""
    nearest_topics: Mapping[str, str] = {}
    """For topics that were missing at the start, the existing one with the most similar name."""
    processors: Mapping[str, ProcessorStatus] = {}
    """The processors that run, by their names; the last figures of all once an error stops them."""
    held: Sequence[Held] = ()
    """The records that did not parse and cannot finish, since their dead letter is not taken."""
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
    sends_waiting: int = 0
    """The number of records that wait to be acknowledged: what handlers returned, retries and dead
    letters. Those of a processor with `exactly_once` are not counted."""


def listener_status(
    intake: Intake,
    now: float,
    tree: ActorSnapshot,
    *,
    parse_errors: int,
    processors: Mapping[str, ProcessorStatus],
    held: Sequence[Held],
    counted_twice: int,
    client: str,
    group_id: str,
    recent: Sequence[RecentEvent],
    sends_waiting: int,
    dead_letters: int,
) -> ListenerStatus:
    """Return the status, from a ledger that is up to date with the readers.

    `counted_twice` is the number of records that the ledger counts as delivered once too often.
    """
    ledger = intake.ledger
    return ListenerStatus(
        tree=tree,
        connected=intake.health.connected,
        partitions=partition_statuses(intake, now),
        missing_topics=intake.health.missing_topics,
        counters=Counters(
            delivered=ledger.delivered() - counted_twice,
            finished=ledger.finishes.count,
            parse_errors=parse_errors,
            late_finishes=ledger.finishes.late,
            restarts=sum(actor.restarts for actor in all_actors(tree)),
            rebalances=intake.rebalances,
            jumps=intake.jumps,
            lost_offsets=intake.lost_offsets,
            corrupt=intake.corrupt,
            dead_letters=dead_letters,
        ),
        bytes_in_flight=intake.budget.held,
        nearest_topics=intake.health.nearest_topics,
        processors=processors,
        held=held,
        client=client,
        group_protocol=intake.health.membership.protocol,
        session_timeout_s=intake.health.membership.session_timeout_s,
        group_id=group_id,
        recent=recent,
        sends_waiting=sends_waiting,
    )
