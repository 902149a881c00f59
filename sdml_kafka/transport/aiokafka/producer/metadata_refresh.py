# pyright: basic
# aiokafka is not typed.
"""Which topics there are, as a producer knows it. Asking creates none but those looked for.

aiokafka asks for every topic that was ever sent to, and in such a way that a broker which creates
topics by itself brings back those that were deleted, reply topics of clients that have left; and
while something waits to go to a topic that is gone it asks again at once, and again.
"""

import asyncio
from collections.abc import Collection
from random import sample
from typing import Any

from aiokafka import errors as kafka
from aiokafka.protocol.metadata import MetadataRequest

from sdml_kafka.errors import TopicMissing
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.producer import internals as private
from sdml_kafka.transport.aiokafka.producer.partition_queues import Lanes
from sdml_kafka.transport.record_checks import no_such_topic

GONE_AFTER_S = 3.0
"""A broker that has just come up may not know all topics yet."""
PAUSE_S = 0.1


class Refreshes:
    def __init__(self, producer: Client, lanes: Lanes) -> None:
        self._may_create = True
        self._client = producer.client
        self._lanes = lanes
        self._loop = asyncio.get_running_loop()
        self._sought: set[str] = set()
        self._answered_at = 0.0
        self._missing: dict[str, float] = {}
        """Those that something may go to and that are not there, and since when."""
        private.refresh_with(producer, self._ask)

    def create_none(self) -> None:
        """Not even those that are looked for."""
        self._may_create = False

    def seek(self, topic: str) -> None:
        """It may be created from now on, until `found`."""
        self._client.add_topic(topic)
        if self._may_create:
            self._sought.add(topic)

    def found(self, topic: str) -> None:
        """Or given up."""
        self._sought.discard(topic)

    def no_such_topic(self, topic: str) -> TopicMissing:
        return no_such_topic(topic, may_create=self._may_create)

    def gone(self) -> set[str]:
        """Topics that were deleted, as far as one can tell."""
        latest = self._answered_at - GONE_AFTER_S
        return {topic for topic, since in self._missing.items() if since <= latest}

    async def _ask(self, topics: Collection[str]) -> Any:
        """A broker's answer, without the topics that are not there; None: there is none. Without
        topics all are asked for, as aiokafka does until the first one has to be looked for."""
        if self._missing:
            await asyncio.sleep(PAUSE_S)
        if self._sought:
            await self._request(self._sought, create=True)
        topics = set(topics)  # as they are now: others may be added meanwhile
        answer = await self._request(topics, create=False)
        if answer is not None:
            self._answered_at = now = self._loop.time()
            # To aiokafka one that is missing is the same, but for an ERROR line each time.
            answer.topics = [entry for entry in answer.topics if not _is_missing(entry)]
            missing = (
                self._lanes.topics().union(topics).difference(entry[1] for entry in answer.topics)
            )
            self._missing = {topic: self._missing.get(topic, now) for topic in missing}
        return answer

    async def _request(self, topics: Collection[str], *, create: bool) -> Any:
        request = MetadataRequest(list(topics) or None, allow_auto_topic_creation=create)
        nodes = [broker.nodeId for broker in self._client.cluster.brokers()]
        for node in sample(nodes, len(nodes)):
            try:
                return await self._client.send(node, request)
            except kafka.KafkaError:
                continue
        return None


def _is_missing(entry: Any) -> bool:
    return kafka.for_code(entry[0]) is kafka.UnknownTopicOrPartitionError
