"""A listener on a real broker that processes records, and a look at what is in a topic."""

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from sdml_kafka import Delivery, KafkaListener
from sdml_kafka.transport.interfaces.records import Record
from tests.support.kafka_from_outside import on_asyncio


def failing(bad: Callable[[str, int], bool]) -> Any:
    """Return a handler that fails some attempts, with the list of the attempts that it saw."""
    seen: list[tuple[str, int]] = []

    async def handle(value: str, delivery: Delivery[str]) -> None:
        seen.append((value, delivery.attempt))
        if bad(value, delivery.attempt):
            raise ValueError(f"cannot do {value}")

    return handle, seen


def held_by(listener: KafkaListener) -> list[Any]:
    """Return what the processors of a listener hold."""
    return [held for each in listener.status().processors.values() for held in each.held]


async def records_of(
    bootstrap: str,
    topic: str,
    *,
    login: dict[str, Any] | None = None,
    isolation: str = "read_uncommitted",
) -> list[Record]:
    """Return all records of a topic, none if it does not exist."""

    async def read() -> list[Record]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **(login or {}))
        await admin.start()
        try:
            if topic not in await admin.list_topics():
                return []
            (described,) = await admin.describe_topics([topic])
        finally:
            await admin.close()
        places = [TopicPartition(topic, each["partition"]) for each in described["partitions"]]
        options = {"isolation_level": isolation, **(login or {})}
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, **options)
        await consumer.start()
        try:
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found: list[Record] = []
            for place in places:
                consumer.seek(place, 0)
            for place in places:
                while await consumer.position(place) < ends[place]:
                    found += (await consumer.getmany(place, timeout_ms=200)).get(place, ())
            return found
        finally:
            await consumer.stop()

    return await on_asyncio(read())


async def partitions_of(bootstrap: str, topic: str) -> int:
    """Return the topic's number of partitions."""

    async def ask() -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            return len((await admin.describe_topics([topic]))[0]["partitions"])
        finally:
            await admin.close()

    return await on_asyncio(ask())


async def configure_topic(bootstrap: str, topic: str, **config: str) -> None:
    """Change settings of a topic; the dots in their names are underscores here."""
    settings = {name.replace("_", "."): value for name, value in config.items()}

    async def alter() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
        finally:
            await admin.close()

    await on_asyncio(alter())
