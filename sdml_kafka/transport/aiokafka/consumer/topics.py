# pyright: basic
# aiokafka is not typed.
"""The topics that a consumer reads, as far as the client's metadata knows them."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import RETRY_S, TOPIC_CREATION_S, Client, error_of
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.topic_requests import (
    ask_for_topics,
    create_topic,
    drop_missing,
    may_succeed_later,
    refresh_with,
)
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.record_checks import nearest_topics


class Topics:
    """Answers which of a consumer's topics and partitions exist, and which existed at its start.

    From then on the consumer's metadata is refreshed without creating topics.
    """

    def __init__(self, consumer: Client, names: Collection[str]) -> None:
        self._consumer = consumer
        self._client = internals.client_of(consumer)
        self.names: frozenset[str] = frozenset(names)
        self.at_start: frozenset[TopicPartition] = frozenset()
        self.nearest: Mapping[str, str] = {}
        """For topics that were missing at the start, the one with the most similar name."""
        refresh_with(self._client, self._ask)

    async def _ask(self, topics: Collection[str]) -> Any:
        answer = await ask_for_topics(self._client, set(topics))
        if answer is not None:
            drop_missing(answer)
        return answer

    async def find(self, create_within_s: float | None = None) -> None:
        """Note which partitions exist; a topic that was just created gets a moment to be known.

        Partitions that appear later are read from their beginning, since from the end the records
        that came before the client noticed them would be lost.

        Args:
            create_within_s: Seconds within which missing topics are created; None for none to be.

        Raises:
            AuthorizationFailed: The broker does not let this client see or create a topic.
            ConfigurationError: The broker refuses to create a topic.
            ConsumerFailed: A topic was not created in time.
        """
        internals.track_topics(self._consumer, set(self.names))
        await self._refresh(TOPIC_CREATION_S)
        created = frozenset[str]()
        if create_within_s is not None:
            created = await self._create_missing(create_within_s)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TOPIC_CREATION_S
        while self.missing() and loop.time() < deadline:
            await asyncio.sleep(RETRY_S)
            await self._refresh(max(RETRY_S, deadline - loop.time()))
        self.at_start = frozenset(each for each in self.partitions() if each.topic not in created)
        if missing := self.missing():
            await self._look_for_similar(missing)

    async def _refresh(self, timeout_s: float) -> None:
        refresh = asyncio.ensure_future(internals.refresh_metadata(self._consumer))
        await asyncio.wait({refresh}, timeout=timeout_s)
        if denied := self.names & internals.unauthorized_topics(self._consumer):
            raise error_mapping.may_not_read(TopicAuthorizationFailedError(*sorted(denied)))

    async def _create_missing(self, timeout_s: float) -> frozenset[str]:
        """Create the missing topics as the broker is configured, and return those that are new."""
        missing = sorted(self.missing())
        try:
            async with asyncio.timeout(timeout_s):
                return frozenset([each for each in missing if await self._create(each, timeout_s)])
        except TimeoutError as error:
            names = ", ".join(map(repr, missing))
            raise ConsumerFailed(
                f"the topics {names} could not be created within {timeout_s:g} s"
            ) from error

    async def _create(self, topic: str, timeout_s: float) -> bool:
        while True:
            try:
                return await create_topic(self._client, topic, timeout_s=timeout_s)
            except KafkaError as error:
                if not may_succeed_later(error):
                    final = error_mapping.from_admin(error, f"create the topic {topic!r}")
                    raise final from error
            await asyncio.sleep(RETRY_S)

    async def _look_for_similar(self, missing: Collection[str]) -> None:
        asking = asyncio.create_task(ask_for_topics(self._client, ()))
        # asyncio logs an error that nobody looks at, and nobody does after the timeout.
        asking.add_done_callback(error_of)
        await asyncio.wait({asking}, timeout=TOPIC_CREATION_S)
        if not asking.done():
            asking.cancel()
        elif error_of(asking) is None and (answer := asking.result()) is not None:
            self.nearest = nearest_topics(missing, {entry[1] for entry in answer.topics})

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
