# pyright: basic
# aiokafka is not typed.
"""Topics and groups, asked for over the connections of a producer: no second login."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from aiokafka import errors as kafka
from aiokafka.client import CoordinationType
from aiokafka.protocol.admin import (
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DescribeGroupsRequest,
)
from aiokafka.protocol.metadata import MetadataRequest

from sdml_kafka.errors import ConfigurationError, SendFailed
from sdml_kafka.transport.aiokafka import error_mapping as failures
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.outcome import error_of
from sdml_kafka.transport.aiokafka.producer import internals as private
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_name

RETRY_S = 0.1
BROKERS_DEFAULT = -1
_AGAIN = (kafka.NotControllerError, kafka.KafkaConnectionError, kafka.NodeNotReadyError)


class Admin:
    def __init__(self, producer: Client) -> None:
        self._producer = producer
        self._client = producer.client
        self._loop = asyncio.get_running_loop()

    async def create_topic(
        self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float
    ) -> bool:
        if not is_topic_name(topic):
            raise ConfigurationError(f"{topic!r:.300} cannot be a topic: {TOPIC_RULE}.")
        settings = [(name, str(value)) for name, value in config.items()]

        wanted: list[Any] = [(topic, partitions, BROKERS_DEFAULT, [], settings)]
        request = CreateTopicsRequest(wanted, int(timeout_s * 1000), False)

        async def create() -> bool:
            answer = await self._ask_controller(request)
            _, code, *message = answer.topic_errors[0]
            if (error := kafka.for_code(code)) is kafka.TopicAlreadyExistsError:
                return False
            if error is not kafka.NoError:
                raise error(*message)
            return True

        async def create_and_see() -> bool:
            is_new = await self._again(create)
            while is_new and not self._has_leaders(topic, partitions):
                self._client.add_topic(topic)
                await self._client.force_metadata_update()
                await asyncio.sleep(0.01)
            return is_new

        return await self._bounded(create_and_see, timeout_s, f"create the topic {topic!r}")

    def _has_leaders(self, topic: str, partitions: int) -> bool:
        available = self._client.cluster.available_partitions_for_topic(topic)
        return len(available or ()) >= max(1, partitions)

    async def delete_topic(self, topic: str, timeout_s: float) -> None:
        private.forget_topic(self._producer, topic)  # a refresh could create it anew

        async def delete() -> None:
            answer = await self._ask_controller(DeleteTopicsRequest([topic], int(timeout_s * 1000)))
            error = kafka.for_code(answer.topic_error_codes[0][1])
            if error not in (kafka.NoError, kafka.UnknownTopicOrPartitionError):
                raise error()

        async def delete_and_see() -> None:
            await self._again(delete)
            while await self._again(lambda: self._is_there(topic)):  # noqa: ASYNC110  (Kafka tells nobody)
                await asyncio.sleep(0.01)
            await self._client.force_metadata_update()

        what = f"delete the topic {topic!r}"
        await self._bounded(delete_and_see, timeout_s, what)

    async def _is_there(self, topic: str) -> bool:
        request = MetadataRequest([topic], allow_auto_topic_creation=False)
        answer = await self._client.send(self._client.get_random_node(), request)
        return kafka.for_code(answer.topics[0][0]) is not kafka.UnknownTopicOrPartitionError

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
        return await self._bounded(lambda: self._again(describe), timeout_s, what)

    async def _ask_controller(self, request: Any) -> Any:
        """With KRaft it is any broker, which passes the request on."""
        controller = self._client.cluster.controller
        node = self._client.get_random_node() if controller is None else controller.nodeId
        return await self._client.send(node, request)

    async def _again[T](self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Until it is answered for good. Whoever asks bounds it."""
        while True:
            try:
                return await call()
            except kafka.KafkaError as error:
                if not (error.retriable or isinstance(error, _AGAIN)):
                    raise
            await asyncio.sleep(RETRY_S)
            await self._client.force_metadata_update()

    async def _bounded[T](
        self, call: Callable[[], Coroutine[Any, Any, T]], timeout_s: float, what: str
    ) -> T:
        task = self._loop.create_task(call())
        try:
            await asyncio.wait({task}, timeout=timeout_s)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=0.5)
            raise SendFailed(f"Could not {what} within {timeout_s:g} s.", in_doubt=True)
        if (error := error_of(task)) is not None:
            raise failures.from_admin(error, what) from error
        return task.result()
