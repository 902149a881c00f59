"""The topics that a consumer reads, as far as brokers have answered."""

from collections.abc import Callable, Collection, Mapping
from time import monotonic, sleep

from confluent_kafka import KafkaException

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.consumer.lookups import Lookups, error_of
from sdml_kafka.transport.record_checks import nearest_topics

CREATION_S = 1.0
"""Seconds within which a topic that was just created is known to every broker."""
RETRY_S = 0.1
MISSING_INTERVAL_S = 0.5
"""Seconds between two looks for a topic that is missing."""
NEW_PARTITIONS_INTERVAL_S = 2.0
"""Seconds between two looks for new partitions, for a consumer that is to read them soon."""


class Topics:
    """Answers which topics and partitions exist, and which existed as the consumer was started."""

    def __init__(self, lookups: Lookups, names: Collection[str], *, reads_new_soon: bool) -> None:
        self._lookups = lookups
        self.names: frozenset[str] = frozenset(names)
        self._reads_new_soon = reads_new_soon
        self.counts: dict[str, int] = {}
        """The number of partitions of each topic, 0 if it does not exist."""
        self.at_start: frozenset[TopicPartition] = frozenset()
        self.nearest: Mapping[str, str] = {}
        """For topics that were missing at the start, the one with the most similar name."""
        self._created: set[str] = set()
        self._may_be_gone = False
        self._looked_at = 0.0

    def find(self, create: Callable[[str], bool] | None) -> None:
        """Note which partitions exist; a topic that was just created gets a moment to be known.

        Args:
            create: Creates a missing topic and returns whether it is new; None for none to be.

        Raises:
            AuthorizationFailed: The broker does not let this client see a topic.
            KafkaException: No broker answers.
        """
        deadline = monotonic() + CREATION_S
        self.refresh(self.names)
        if create is not None:
            self._created.update(topic for topic in sorted(self.missing) if create(topic))
        while self.missing and monotonic() < deadline:
            sleep(RETRY_S)
            self.refresh(self.missing)
        self.at_start = frozenset(p for p in self.partitions() if p.topic not in self._created)
        if missing := self.missing:
            self.nearest = nearest_topics(missing, set(self._lookups.topics()))

    def refresh(self, names: Collection[str]) -> None:
        """Ask for the numbers of partitions."""
        self._looked_at = monotonic()
        for topic in names:
            try:
                self.counts[topic] = self._lookups.partition_count(topic)
            except KafkaException as error:
                if error_mapping.is_authorization(error_of(error)):
                    raise error_mapping.may_not_read(error_of(error)) from error
                raise
        self._may_be_gone = False
        if missing := self.missing:
            # If such a topic comes back, its partitions are new.
            self.at_start = frozenset(each for each in self.at_start if each.topic not in missing)

    def note_given(self, keys: Collection[TopicPartition]) -> None:
        """Note that partitions exist, which the group knows already."""
        for topic, number in keys:
            self.counts[topic] = max(self.counts.get(topic, 0), number + 1)

    def note_taken(self) -> None:
        """Note that partitions were taken away, perhaps since their topic was deleted."""
        self._may_be_gone = True

    @property
    def is_due(self) -> bool:
        """True if it is time to look for topics and partitions that are missing."""
        if self._may_be_gone:
            return True
        if self.missing:
            return monotonic() - self._looked_at >= MISSING_INTERVAL_S
        return self._reads_new_soon and monotonic() - self._looked_at >= NEW_PARTITIONS_INTERVAL_S

    @property
    def missing(self) -> frozenset[str]:
        """The topics that do not exist."""
        return frozenset(topic for topic in self.names if not self.counts.get(topic))

    def partitions(self) -> frozenset[TopicPartition]:
        """Return all partitions of the topics."""
        return frozenset(
            TopicPartition(topic, number)
            for topic, count in self.counts.items()
            for number in range(count)
        )
