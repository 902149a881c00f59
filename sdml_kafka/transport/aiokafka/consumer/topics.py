# pyright: basic
# aiokafka is not typed.
"""The topics that a consumer reads, as far as the client's metadata knows them."""

import asyncio
from collections.abc import Collection

from aiokafka.errors import TopicAuthorizationFailedError

from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import RETRY_S, TOPIC_CREATION_S, Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.interfaces import TopicPartition


class Topics:
    """Answers which of a consumer's topics and partitions exist, and which existed at its start."""

    def __init__(self, consumer: Client, names: Collection[str]) -> None:
        self._consumer = consumer
        self.names: frozenset[str] = frozenset(names)
        self.at_start: frozenset[TopicPartition] = frozenset()

    async def find(self) -> None:
        """Note which partitions exist; a broker that creates topics gets a moment to do so.

        Partitions that appear later are read from their beginning, since from the end the records
        that came before the client noticed them would be lost.

        Raises:
            AuthorizationFailed: The broker does not let this client see one of the topics.
        """
        internals.track_topics(self._consumer, set(self.names))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TOPIC_CREATION_S
        while True:
            await asyncio.wait(
                {asyncio.ensure_future(internals.refresh_metadata(self._consumer))},
                timeout=max(RETRY_S, deadline - loop.time()),
            )
            if denied := self.names & internals.unauthorized_topics(self._consumer):
                raise error_mapping.may_not_read(TopicAuthorizationFailedError(*sorted(denied)))
            if not self.missing() or loop.time() >= deadline:
                break
            await asyncio.sleep(RETRY_S)
        self.at_start = self.partitions()

    def missing(self) -> frozenset[str]:
        """Return the topics that do not exist; those that were there at the start were deleted.

        If such a topic comes back, its partitions are new.
        """
        missing = frozenset(topic for topic in self.names if not self.count(topic))
        if missing:
            self.at_start = frozenset(each for each in self.at_start if each.topic not in missing)
        return missing

    def count(self, topic: str) -> int:
        """Return the topic's number of partitions, 0 if it is not known to exist."""
        return len(self._consumer.partitions_for_topic(topic) or ())

    def partitions(self) -> frozenset[TopicPartition]:
        return frozenset(
            TopicPartition(topic, partition)
            for topic in self.names
            for partition in self._consumer.partitions_for_topic(topic) or ()
        )
