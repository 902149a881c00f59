"""The facts on the partitions that are read, for `status()` and for `health()`."""

from collections.abc import Callable, Collection, Container, Mapping
from math import inf
from typing import Literal

from attrs import frozen

from sdml_kafka.consuming.operator_log import OperatorLog, hints
from sdml_kafka.consuming.partitions import Intake, Partition
from sdml_kafka.consuming.preparations import Held
from sdml_kafka.health.facts import Facts, GroupFacts, PartitionFacts, Sightings
from sdml_kafka.lifecycle import Lifecycle
from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.transport.interfaces.records import TopicPartition


@frozen
class PartitionStatus:
    """A partition that is assigned.

    Offsets are those of the next record: `committed` 5 means that the records 0 to 4 are done.
    """

    position: int
    """The offset at which handing out goes on, past transaction markers."""
    committed: int | None
    """The offset that the group has committed, None before the first commit."""
    high_watermark: int | None
    """The offset at which the partition ends, None while it is not known. With the consumer's
    `isolation_level="read_committed"` it is the last stable offset: records behind the beginning
    of an open transaction cannot be read yet."""
    lag: int | None
    """The number of offsets between what has finished in order and `high_watermark`, 0 when all
    has finished; None while the end is not known. `lag_age_s` says how old it is."""
    in_flight: int
    """The number of records handed to the streams and not finished."""
    frontier_age_s: float
    """Seconds that nothing has moved at the lowest unfinished record: since it was handed out and
    all before it have finished, and since it has been in hand or has waited, as it does now. To
    half a second; 0 when all have finished."""
    held: str | None
    """The reason why the partition cannot be read on, such as records that do not decode; else
    None."""
    parsing: int = 0
    """The number of records that an async parser works on, or that wait for it next in line."""
    bytes_in_flight: int = 0
    """The bytes of its records, as they came, that were fetched and have not finished."""
    lag_age_s: float | None = None
    """Seconds since a broker named the end that `lag` counts to; None while `lag` is. It stays
    below a second while the partition is fetched, and below some ten while it is not since it is
    full or held, as the broker is asked then. It grows while no broker answers."""
    paused: bool = False
    """True if the program has paused the partition."""
    frontier: int = 0
    """The offset below which every record has finished: that of the lowest unfinished record, if
    `in_flight` is not 0."""
    in_hand: int = 0
    """The number of records that the program has taken and not finished, out of `in_flight`; the
    others wait."""
    waits_for: str | None = None
    """Why the first of the records that are held cannot be parsed or sent yet, such as "schema
    registry away"; None if none is held."""
    waits_for_s: float = 0.0
    """Seconds that this record has been held."""


def partition_statuses(intake: Intake, now: float) -> dict[TopicPartition, PartitionStatus]:
    """Return the status of each partition at this time. Any thread may ask."""
    held = intake.preparations.held(now)
    return {
        key: _status(intake, each, now, held.get(key))
        for key, each in list(intake.partitions.items())
    }


def _status(
    intake: Intake, partition: Partition, now: float, waits: Held | None
) -> PartitionStatus:
    tenancy, since = partition.tenancy, partition.stands_since(now)
    frontier = tenancy.frontier()  # before the position, which moves on if this is another thread
    position = tenancy.position()
    end = age_s = None
    if (known := intake.health.ends.get(partition.key)) is not None:
        end = max(known.offset, position)  # what the broker said last may be old
        age_s = known.age_s + now - intake.health_noted_at
    return PartitionStatus(
        position=position,
        committed=tenancy.committed,
        high_watermark=end,
        lag=None if end is None else max(0, end - frontier),
        in_flight=tenancy.in_flight,
        frontier_age_s=0.0 if since is None else now - since,
        held=intake.health.held.get(partition.key),
        parsing=partition.parsing,
        bytes_in_flight=tenancy.held.count,
        lag_age_s=age_s,
        paused=partition.key in intake.paused,
        frontier=frontier,
        in_hand=max(0, tenancy.in_hand),
        waits_for=None if waits is None else f"record {waits.offset} waits: {waits.why}",
        waits_for_s=0.0 if waits is None else waits.for_s,
    )


Place = tuple[TopicPartition, int]
"""A record: its partition and its offset."""


class ConsumerFacts:
    """Collects what is known of a consumer's partitions, its group and its brokers."""

    def __init__(
        self,
        intake: Intake,
        log: OperatorLog,
        topics: Callable[[], Collection[str]],
        is_read: Callable[[str], bool] = lambda topic: True,
        may_wait: Callable[[str], bool] = lambda topic: False,
        taker: Callable[[str], Literal["loop", "handler"]] = lambda topic: "handler",
        handled: Callable[[], Container[Place] | None] = lambda: None,
        unacknowledged: Callable[[], Container[Place]] = tuple,
    ) -> None:
        """Begin without having looked.

        Args:
            intake: The partitions that are assigned.
            log: Knows where the consumer stands, and since when no broker can be reached.
            topics: Returns the topics that the program names.
            is_read: Returns whether somebody reads a topic.
            may_wait: Returns whether the records of a topic wait on purpose.
            taker: Returns what takes the records of a topic.
            handled: Returns the records whose handlers run, None if that is not known.
            unacknowledged: Returns the records of which it is known that only what was sent for
                them is waited for.
        """
        self._intake = intake
        self._log, self._topics = log, topics
        self._is_read = is_read
        self._may_wait, self._taker, self._handled = may_wait, taker, handled
        self._unacknowledged = unacknowledged
        self._sightings = Sightings[TopicPartition, tuple[int, int]]()

    def collect(
        self,
        lifecycle: Lifecycle,
        tree: ActorSnapshot,
        partitions: Mapping[TopicPartition, PartitionStatus],
    ) -> Facts:
        """Return the facts at this moment; `partitions` are those of the status."""
        now, health = lifecycle.now(), self._intake.health
        seen = {key: (each.position, each.frontier) for key, each in partitions.items()}
        unmoved_s, hint = self._sightings.look(now, seen), hints(health.nearest_topics)
        missing = dict.fromkeys(sorted(health.missing_topics), hint)
        more = self._taken_at(), self._handled(), self._unacknowledged(), now
        return Facts(
            what=lifecycle.what,
            state=lifecycle.state,
            tree=tree,
            failure=lifecycle.failure,
            away_s=self._log.outage.seconds(now),
            away_why=next(iter(health.unreachable.values()), ""),
            group=self._group(now, len(partitions)),
            missing_topics=missing,
            has_topic=any(topic not in missing for topic in self._topics()),
            missing_s=self._log.missing_s(now),
            partitions=[
                self._partition(key, partitions[key], unmoved_s[key], *more)
                for key in sorted(partitions)
            ],
        )

    def _group(self, now: float, partitions: int) -> GroupFacts:
        standing, obstacle = self._log.standing, self._intake.health.obstacle
        return GroupFacts(
            standing.group_id,
            standing.is_member,
            None if standing.since is None else now - standing.since,
            partitions,
            standing.was_member,
            "" if obstacle is None else str(obstacle),
        )

    def _taken_at(self) -> Mapping[str, float]:
        """Return when a record of each topic was taken last."""
        taken_at: dict[str, float] = {}
        for key, partition in list(self._intake.partitions.items()):
            at = partition.standstill.taken_at
            taken_at[key.topic] = max(at, taken_at.get(key.topic, at))
        return taken_at

    def _partition(
        self,
        key: TopicPartition,
        status: PartitionStatus,
        unmoved_s: float,
        taken_at: Mapping[str, float],
        handled: Container[Place] | None,
        unacknowledged: Container[Place],
        now: float,
    ) -> PartitionFacts:
        partition = self._intake.partitions.get(key)  # another thread may ask meanwhile
        place = key, status.frontier
        return PartitionFacts(
            key,
            status,
            unmoved_s,
            now - taken_at.get(key.topic, -inf),
            self._taker(key.topic),
            is_handled=(handled is None or place in handled) and place not in unacknowledged,
            is_read=self._is_read(key.topic),
            may_wait=self._may_wait(key.topic),
            is_draining=partition is not None and partition.is_revoked,
        )
