# pyright: basic
# aiokafka is not typed.
"""Refresh a producer's metadata without creating topics, except the topics that are looked for.

aiokafka asks for every topic that was ever sent to, in such a way that a broker which creates
topics by itself brings back those that were deleted: reply topics of clients that have left. And
while something waits to go to a topic that is gone it asks again at once, and again.
"""

import asyncio
from collections.abc import Collection
from typing import Any

from sdml_kafka.errors import TopicMissing
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.producer.partition_queues import PartitionQueues
from sdml_kafka.transport.aiokafka.topic_requests import (
    ask_for_topics,
    drop_missing,
    refresh_with,
)
from sdml_kafka.transport.record_checks import no_such_topic

GONE_AFTER_S = 3.0
"""Seconds of answers without a topic after which it is gone. A broker that has just come up may
not know all topics yet."""
MISSING_TOPIC_PAUSE_S = 0.1
"""Seconds between two refreshes while a topic is missing."""


class MetadataRefresh:
    """Answers the metadata requests of one producer's client."""

    def __init__(self, producer: Client, queues: PartitionQueues) -> None:
        self._may_create = True
        self._client = producer.client
        self._queues = queues
        self._loop = asyncio.get_running_loop()
        self._sought: set[str] = set()
        self._answered_at = 0.0
        self._missing: dict[str, float] = {}
        """The topics that are sent to and were missing in the last answer, with the time since."""
        refresh_with(self._client, self._ask)

    def never_create(self) -> None:
        """Let no topic be created, not even while it is looked for."""
        self._may_create = False

    def begin_search(self, topic: str) -> None:
        """Ask for a topic from now on, and let it be created until `end_search`."""
        self._client.add_topic(topic)
        if self._may_create:
            self._sought.add(topic)

    def end_search(self, topic: str) -> None:
        self._sought.discard(topic)

    def no_such_topic(self, topic: str) -> TopicMissing:
        return no_such_topic(topic, may_create=self._may_create)

    def gone(self) -> set[str]:
        """Return the topics that were deleted, as far as one can say."""
        latest = self._answered_at - GONE_AFTER_S
        return {topic for topic, since in self._missing.items() if since <= latest}

    async def _ask(self, topics: Collection[str]) -> Any:
        """Return a broker's answer without the topics that are missing, None if nobody answered.

        Without `topics` all are asked for, as aiokafka does until one has to be looked for.
        """
        if self._missing:
            await asyncio.sleep(MISSING_TOPIC_PAUSE_S)
        if self._sought:
            await ask_for_topics(self._client, self._sought, create=True)
        topics = set(topics)  # a copy, since others may be added meanwhile
        answer = await ask_for_topics(self._client, topics)
        if answer is not None:
            self._answered_at = now = self._loop.time()
            drop_missing(answer)
            missing = (
                self._queues.topics().union(topics).difference(entry[1] for entry in answer.topics)
            )
            self._missing = {topic: self._missing.get(topic, now) for topic in missing}
        return answer
