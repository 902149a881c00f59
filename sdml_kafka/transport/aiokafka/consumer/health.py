# pyright: basic
# aiokafka is not typed.
"""Look now and then at what the client knows without asking the broker."""

import asyncio
import time
from collections.abc import Collection, Mapping

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces import Health, TopicPartition

REPORT_INTERVAL_S = 0.2
"""Seconds between two looks, each of which is returned by a poll."""
TIMELY_LOOK_S = 1.0
"""Seconds between two looks, at most, unless the loop stood still meanwhile."""
MISSING_TOPIC_INTERVAL_S = 0.5
"""Seconds between two refreshes of the metadata while a topic is missing."""
NEW_PARTITIONS_INTERVAL_S = 2.0
"""Seconds between two refreshes for a consumer that is to read new partitions soon."""


class HealthCheck:
    """Makes the `Health` that a poll returns."""

    def __init__(self, consumer: Client, topics: Topics, refresh_interval_s: float) -> None:
        self._consumer = consumer
        self._topics = topics
        self._refresh_interval_s = refresh_interval_s
        self._loop = asyncio.get_running_loop()
        self._due_at = self._refreshed_at = 0.0
        self._looked_at = self._loop.time()
        self._marked: dict[TopicPartition, tuple[int, float]] = {}
        """For each partition the last fetch by aiokafka's own time, and when that was."""

    def is_due(self) -> bool:
        return self._loop.time() >= self._due_at

    def check(
        self,
        partitions: Collection[TopicPartition],
        held: Mapping[TopicPartition, str],
        obstacle: SdmlKafkaError | None,
    ) -> Health:
        """Return the health of a consumer that reads `partitions`, some of which are `held`."""
        now = self._loop.time()
        self._due_at = now + REPORT_INTERVAL_S
        missing = self._topics.missing()
        is_connected = internals.is_connected(self._consumer)
        interval_s = MISSING_TOPIC_INTERVAL_S if missing else self._refresh_interval_s
        if now - self._refreshed_at >= interval_s and (missing or is_connected):
            self._refreshed_at = now
            internals.refresh_metadata(self._consumer)
        marks = self._high_watermarks(partitions)
        return Health(is_connected, marks, missing, self._ages_s(marks, now), held, obstacle)

    def _high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        assigned = self._consumer.assignment()
        marks = {
            partition: self._consumer.highwater(partition)
            for partition in partitions
            if partition in assigned
        }
        return {partition: mark for partition, mark in marks.items() if mark is not None}

    def _ages_s(
        self, partitions: Collection[TopicPartition], now: float
    ) -> dict[TopicPartition, float]:
        """Return how long ago each of these partitions was fetched.

        aiokafka notes that by the machine's clock, which may be set, and a loop that stood still
        reads old answers late. In doubt a fetch counts as no later than the last look.
        """
        since_look_s, wall_ms = now - self._looked_at, time.time() * 1000
        self._looked_at = now
        marked: dict[TopicPartition, tuple[int, float]] = {}
        for partition in partitions:
            fetched_ms = self._consumer.last_poll_timestamp(partition)
            known = self._marked.get(partition)
            if known is None or known[0] != fetched_ms:
                age_s = (wall_ms - fetched_ms) / 1000
                if not 0 <= age_s <= since_look_s <= TIMELY_LOOK_S:
                    age_s = since_look_s
                known = (fetched_ms, now - age_s)
            marked[partition] = known
        self._marked = marked
        return {partition: now - at for partition, (_, at) in marked.items()}
