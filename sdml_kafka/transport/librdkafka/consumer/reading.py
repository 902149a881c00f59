"""Read the partitions that have positions, in the fetching thread, and report how that goes."""

from collections.abc import Collection, Mapping
from time import monotonic

from attrs import evolve

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Health
from sdml_kafka.transport.librdkafka.consumer.ends import Ends
from sdml_kafka.transport.librdkafka.consumer.member import Member
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange
from sdml_kafka.transport.librdkafka.consumer.records.fetching import Fetching
from sdml_kafka.transport.librdkafka.consumer.topics import Topics

HEALTH_INTERVAL_S = 0.2
HEALTH_INTERVAL_OF_EACH_S = 0.0005


class Reading:
    """Knows both clients: what the member may read is fetched, and what was fetched is shown."""

    def __init__(
        self,
        member: Member,
        topics: Topics,
        ends: Ends,
        obstacles: Obstacles,
        exchange: Exchange,
        fetching: Fetching,
    ) -> None:
        self._member = member
        self._topics = topics
        self._ends = ends
        self._obstacles = obstacles
        self._exchange = exchange
        self._fetching = fetching
        self._health_at = 0.0

    def turn(self) -> None:
        """Report the health if that is due, and fetch."""
        now = monotonic()
        if now >= self._health_at:
            self._health_at = now + self._health_interval_s()
            self._ends.look(self._fetching.high_watermarks())
            self._exchange.report(self._health(list(self._exchange.partitions)))
        self._fetching.turn()

    def _health_interval_s(self) -> float:
        count = len(self._exchange.partitions)
        return max(HEALTH_INTERVAL_S, min(1.0, HEALTH_INTERVAL_OF_EACH_S * count))

    def open(self, assignment: Assignment) -> None:
        """Begin with the partitions of an assignment, without those that were revoked meanwhile."""
        epochs = self._member.assignments.epochs
        keys = [key for key in assignment.positions if epochs.get(key) == assignment.epoch]
        positions = {key: assignment.positions[key] for key in keys}
        committed = {key: assignment.committed[key] for key in keys}
        self._fetching.open(positions)
        assignment = evolve(assignment, positions=positions, committed=committed)
        self._exchange.open(assignment, self._health({*self._exchange.partitions, *keys}))
        self._exchange.wake()

    def close(self, keys: Collection[TopicPartition]) -> None:
        """End with partitions that are gone."""
        self._fetching.close(keys)

    def seek(self, positions: Mapping[TopicPartition, int], number: int) -> None:
        """Go on elsewhere in partitions, for polls that know of this seek."""
        self._fetching.seek(positions, number)

    def _health(self, keys: Collection[TopicPartition]) -> Health:
        logs = self._ends.logs(keys)
        return Health(
            connected=self._obstacles.is_connected,
            high_watermarks={key: end.offset for key, end in logs.items()},
            missing_topics=self._topics.missing,
            mark_ages_s={key: end.age_s for key, end in logs.items()},
            held=dict(self._fetching.held),
            obstacle=self._obstacle(),
            unreachable=self._obstacles.unreachable(),
            ends=self._ends.readable(keys),
            nearest_topics=self._topics.nearest,
            membership=self._member.membership,
        )

    def _obstacle(self) -> SdmlKafkaError | None:
        """Return what keeps the consumer from its partitions, None if it has them."""
        assignments = self._member.assignments
        is_to_position = assignments.to_position is not None
        if assignments.epoch and not is_to_position:
            return None
        return self._obstacles.find(has_joined=is_to_position)
