# pyright: basic
# aiokafka is not typed.
"""Create, delete and describe over a producer's connections, so that there is no second login."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

from aiokafka import errors as kafka
from aiokafka.client import CoordinationType
from aiokafka.protocol.admin import DeleteTopicsRequest, DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.metadata import MetadataRequest

from sdml_kafka.errors import ConfigurationError, SendFailed
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import RETRY_S, Client, error_of
from sdml_kafka.transport.aiokafka.producer import internals
from sdml_kafka.transport.aiokafka.topic_requests import (
    ask_controller,
    ask_for_topics,
    create_topic,
    may_succeed_later,
)
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_name

CHECK_INTERVAL_S = 0.01
"""Seconds between two looks at a topic that is being created or deleted."""
CANCEL_TIMEOUT_S = 0.5


class Admin:
    """The administrative requests of the port's `Producer`."""

    def __init__(self, producer: Client) -> None:
        self._producer = producer
        self._client = producer.client
        self._loop = asyncio.get_running_loop()

    async def create_topic(
        self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float
    ) -> bool:
        if not is_topic_name(topic):
            raise ConfigurationError(f"{topic!r:.300} cannot be a topic: {TOPIC_RULE}.")

        def create() -> Coroutine[Any, Any, bool]:
            return create_topic(self._client, topic, partitions, config, timeout_s=timeout_s)

        async def create_and_wait() -> bool:
            is_new = await self._retried(create)
            while is_new and not self._has_leaders(topic, partitions):
                self._client.add_topic(topic)
                await self._client.force_metadata_update()
                await asyncio.sleep(CHECK_INTERVAL_S)
            return is_new

        return await self._within(create_and_wait, timeout_s, f"create the topic {topic!r}")

    def _has_leaders(self, topic: str, partitions: int) -> bool:
        available = self._client.cluster.available_partitions_for_topic(topic)
        return len(available or ()) >= max(1, partitions)

    async def delete_topic(self, topic: str, timeout_s: float) -> None:
        internals.forget_topic(self._producer, topic)  # a refresh could create it anew

        async def delete() -> None:
            request = DeleteTopicsRequest([topic], int(timeout_s * 1000))
            answer = await ask_controller(self._client, request)
            error = kafka.for_code(answer.topic_error_codes[0][1])
            if error not in (kafka.NoError, kafka.UnknownTopicOrPartitionError):
                raise error()

        async def delete_and_wait() -> None:
            await self._retried(delete)
            while await self._retried(lambda: self._exists(topic)):  # noqa: ASYNC110  (Kafka notifies nobody)
                await asyncio.sleep(CHECK_INTERVAL_S)
            await self._client.force_metadata_update()

        what = f"delete the topic {topic!r}"
        await self._within(delete_and_wait, timeout_s, what)

    async def _exists(self, topic: str) -> bool:
        request = MetadataRequest([topic], allow_auto_topic_creation=False)
        answer = await self._client.send(self._client.get_random_node(), request)
        return kafka.for_code(answer.topics[0][0]) is not kafka.UnknownTopicOrPartitionError

    async def partition_counts(
        self, topics: Collection[str], timeout_s: float
    ) -> Mapping[str, int]:
        async def count() -> Mapping[str, int]:
            answer = await ask_for_topics(self._client, topics)
            if answer is None:
                raise kafka.KafkaConnectionError("no broker answered")
            counts = dict.fromkeys(topics, 0)
            denied: list[str] = []
            for code, topic, *_, partitions in answer.topics:
                error = kafka.for_code(code)
                if error is kafka.NoError:
                    counts[topic] = len(partitions)
                elif error is kafka.TopicAuthorizationFailedError:
                    denied.append(topic)
                elif error is not kafka.UnknownTopicOrPartitionError:
                    raise error(topic)
            if denied:
                raise kafka.TopicAuthorizationFailedError(*denied)
            return counts

        what = f"look up the topics {', '.join(map(repr, topics))}"
        return await self._within(lambda: self._retried(count), timeout_s, what)

    async def live_members(self, group_id: str, timeout_s: float) -> int:
        async def describe() -> int:
            node = await self._client.coordinator_lookup(CoordinationType.GROUP, group_id)
            answer = await self._client.send(node, DescribeGroupsRequest([group_id]))
            code, _, _, _, _, members, *_ = answer.groups[0]
            if (error := kafka.for_code(code)) is kafka.GroupIdNotFound:
                return 0
            if error is not kafka.NoError:
                raise error()
            return len(members)

        what = f"look at the group {group_id!r}"
        return await self._within(lambda: self._retried(describe), timeout_s, what)

    async def committed(self, group_id: str, timeout_s: float) -> Mapping[TopicPartition, Commit]:
        """Return what a group has committed, for topics that may be read."""

        async def fetch() -> Mapping[TopicPartition, Commit]:
            node = await self._client.coordinator_lookup(CoordinationType.GROUP, group_id)
            answer = await self._client.send(node, OffsetFetchRequest(group_id, None))
            found = [
                (TopicPartition(topic, number), Commit(offset, metadata or ""), code)
                for topic, partitions in answer.topics
                for number, offset, metadata, code in partitions
            ]
            for code in (answer.error_code, *(code for _, _, code in found)):
                if (error := kafka.for_code(code)) is not kafka.NoError:
                    raise error(group_id)
            return {key: commit for key, commit, _ in found if commit.offset >= 0}

        what = f"look up what the group {group_id!r} has committed"
        return await self._within(lambda: self._retried(fetch), timeout_s, what)

    async def _retried[T](self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call until there is an answer that a retry would not change. The caller bounds it."""
        while True:
            try:
                return await call()
            except kafka.KafkaError as error:
                if not may_succeed_later(error):
                    raise
            await asyncio.sleep(RETRY_S)
            await self._client.force_metadata_update()

    async def _within[T](
        self, call: Callable[[], Coroutine[Any, Any, T]], timeout_s: float, what: str
    ) -> T:
        task = self._loop.create_task(call())
        # asyncio logs an error that nobody looks at, and nobody does after the timeout.
        task.add_done_callback(error_of)
        try:
            await asyncio.wait({task}, timeout=timeout_s)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=CANCEL_TIMEOUT_S)
            raise SendFailed(f"Could not {what} within {timeout_s:g} s.", in_doubt=True)
        if (error := error_of(task)) is not None:
            raise error_mapping.from_admin(error, what) from error
        return task.result()
