"""Acting on a real Kafka from outside of the tested program: topics, records, commits."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any
from uuid import uuid4

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import (
    InvalidReplicationFactorError,
    NotControllerError,
    RequestTimedOutError,
    TopicAlreadyExistsError,
)

TRIED_AGAIN = {
    each.errno for each in (InvalidReplicationFactorError, NotControllerError, RequestTimedOutError)
}
"""The errors of a broker that has started and does not count yet."""


def unique(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


async def on_asyncio[T](work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on an asyncio loop of its own, since a test on trio has none for aiokafka."""
    return await anyio.to_thread.run_sync(asyncio.run, work)


async def wait_for_controller(admin: AIOKafkaAdminClient) -> None:
    """Return once the broker names a controller, as it does some time after it was frozen."""
    client = admin._client
    while client.cluster.controller is None:
        await client.force_metadata_update()


def error_code_of(response: Any) -> int:
    """Return the error code of the one topic that was to be created; aiokafka does not raise it."""
    code: int = response.topic_errors[0][1]
    return code


async def create_topic(
    bootstrap: str,
    name: str,
    partitions: int = 4,
    *,
    login: Mapping[str, str] | None = None,
    config: Mapping[str, str] | None = None,
    copies: int = 1,
) -> str:
    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **(login or {}))
        await admin.start()
        try:
            await wait_for_controller(admin)
            topics = [NewTopic(name, partitions, copies, topic_configs=config)]
            async with asyncio.timeout(60):
                while (code := error_code_of(await admin.create_topics(topics))) in TRIED_AGAIN:  # noqa: ASYNC110  a broker has no event
                    await asyncio.sleep(0.05)
            assert code in (0, TopicAlreadyExistsError.errno), code
        finally:
            await admin.close()

    await on_asyncio(create())
    return name


async def grow_topic(bootstrap: str, name: str, partitions: int) -> None:
    """Let the topic have this number of partitions; return when the broker shows all of them."""

    async def grow() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.create_partitions({name: NewPartitions(partitions)})
            while len((await admin.describe_topics([name]))[0]["partitions"]) < partitions:
                pass
        finally:
            await admin.close()

    await on_asyncio(grow())


async def topics_of(bootstrap: str, *, login: Mapping[str, str] | None = None) -> set[str]:
    async def ask() -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **(login or {}))
        await admin.start()
        try:
            return set(await admin.list_topics())
        finally:
            await admin.close()

    return await on_asyncio(ask())


async def delete_topic(bootstrap: str, name: str) -> None:
    """Delete the topic, and return when the broker has forgotten it."""

    async def delete() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([name])
            while name in await admin.list_topics():
                pass
        finally:
            await admin.close()

    await on_asyncio(delete())


async def produce(
    bootstrap: str,
    topic: str,
    values: Iterable[str],
    *,
    login: Mapping[str, str] | None = None,
    **where: Any,
) -> None:
    async def send_all() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, **(login or {})) as producer:
            for value in values:
                await producer.send(topic, value.encode(), **where)
            await producer.flush()

    await on_asyncio(send_all())


async def committed(bootstrap: str, group: str) -> dict[tuple[str, int], int]:
    found = await commits(bootstrap, group)
    return {partition: offset for partition, (offset, _) in found.items()}


async def commits(bootstrap: str, group: str) -> dict[tuple[str, int], tuple[int, str]]:
    """Return the offset and the metadata that a group has committed for each partition."""

    async def ask() -> dict[tuple[str, int], tuple[int, str]]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        return {
            # librdkafka ends a text with a zero byte.
            (tp.topic, tp.partition): (each.offset, each.metadata.rstrip("\0"))
            for tp, each in found.items()
        }

    return await on_asyncio(ask())


async def commit(
    bootstrap: str, group: str, topic: str, partition: int, offset: int, metadata: str = ""
) -> None:
    """Commit for a group without members."""

    async def send() -> None:
        place = TopicPartition(topic, partition)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False
        )
        consumer.assign([place])
        await consumer.start()
        try:
            await consumer.commit({place: (offset, metadata)})
        finally:
            await consumer.stop()

    await on_asyncio(send())
