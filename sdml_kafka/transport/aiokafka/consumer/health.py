# pyright: basic
# aiokafka is not typed.
"""What the client knows of the world without asking, looked at now and then."""

import asyncio
from collections.abc import Collection, Mapping

from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals as private
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces import Health, TopicPartition

HEALTH_INTERVAL_S = 0.2
MISSING_TOPIC_INTERVAL_S = 0.5


class HealthCheck:
    def __init__(self, consumer: Client, topics: Topics) -> None:
        self._consumer = consumer
        self._topics = topics
        self._loop = asyncio.get_running_loop()
        self._due_at = self._refreshed_at = 0.0

    def is_due(self) -> bool:
        return self._loop.time() >= self._due_at

    def look(
        self, partitions: Collection[TopicPartition], held: Mapping[TopicPartition, str]
    ) -> Health:
        now = self._loop.time()
        self._due_at = now + HEALTH_INTERVAL_S
        missing = self._topics.missing()
        if missing and now - self._refreshed_at >= MISSING_TOPIC_INTERVAL_S:
            self._refreshed_at = now
            private.refresh_metadata(self._consumer)
        return Health(
            private.is_connected(self._consumer),
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
