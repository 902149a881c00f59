# pyright: basic
# aiokafka is not typed.
"""Look now and then at what the client knows without asking the broker."""

import asyncio
from collections.abc import Collection, Mapping

from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces import Health, TopicPartition

REPORT_INTERVAL_S = 0.2
"""Seconds between two looks, each of which is returned by a poll."""
MISSING_TOPIC_INTERVAL_S = 0.5
"""Seconds between two refreshes of the metadata while a topic is missing."""


class HealthCheck:
    """Makes the `Health` that a poll returns."""

    def __init__(self, consumer: Client, topics: Topics) -> None:
        self._consumer = consumer
        self._topics = topics
        self._loop = asyncio.get_running_loop()
        self._due_at = self._refreshed_at = 0.0

    def is_due(self) -> bool:
        return self._loop.time() >= self._due_at

    def check(
        self, partitions: Collection[TopicPartition], held: Mapping[TopicPartition, str]
    ) -> Health:
        """Return the health of a consumer that reads `partitions`, some of which are `held`."""
        now = self._loop.time()
        self._due_at = now + REPORT_INTERVAL_S
        missing = self._topics.missing()
        if missing and now - self._refreshed_at >= MISSING_TOPIC_INTERVAL_S:
            self._refreshed_at = now
            internals.refresh_metadata(self._consumer)
        return Health(
            internals.is_connected(self._consumer),
            self._high_watermarks(partitions),
            missing,
            held,
        )

    def _high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        assigned = self._consumer.assignment()
        marks = {
            partition: self._consumer.highwater(partition)
            for partition in partitions
            if partition in assigned
        }
        return {partition: mark for partition, mark in marks.items() if mark is not None}
