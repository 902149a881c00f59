"""A topic of a thousand partitions, and clients that read it with the settings of their own."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Consumer

from benchmarks.event_loops import EVENT_LOOPS, LIBRDKAFKA, LIBRDKAFKA_LOOPS
from sdml_kafka import KafkaListener, TypeStream, parse_bytes

PARTITIONS = 1000

Values = AsyncGenerator[bytes]
Client = Callable[[str, str, str], AbstractAsyncContextManager[Values]]
"""Enters a client, given the servers, the group and the topic, and yields what it reads."""


@asynccontextmanager
async def by_hand(bootstrap: str, group: str, topic: str) -> AsyncGenerator[Values]:
    """Read by `getmany`, with aiokafka's own settings."""

    async def values() -> Values:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    yield record.value

    async with AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest"
    ) as consumer:
        yield values()


@asynccontextmanager
async def by_poll(bootstrap: str, group: str, topic: str) -> AsyncGenerator[Values]:
    """Read by librdkafka's `poll` in a thread, with its own settings."""

    async def values() -> Values:
        while True:
            message = await asyncio.to_thread(client.poll, 0.1)
            if message is not None and message.error() is None:
                yield message.value() or b""

    where = {"bootstrap.servers": bootstrap, "group.id": group}
    client = Consumer({**where, "auto.offset.reset": "earliest"})
    client.subscribe([topic])
    try:
        yield values()
    finally:
        await asyncio.to_thread(client.close)


@asynccontextmanager
async def by_listener(
    bootstrap: str, group: str, topic: str, **options: Any
) -> AsyncGenerator[Values]:
    """Read by `async for`, with the settings of this package."""

    async def values() -> Values:
        stream: TypeStream[bytes] = await listener.subscribe(bytes)
        async for value in stream:
            yield value

    async with KafkaListener(
        [{"topics": [topic], "type": bytes, "parser": parse_bytes}],
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        start_timeout=60.0,
        **options,
    ) as listener:
        yield values()


CONTESTANTS: dict[str, tuple[str, Client]] = {
    "getmany by hand": ("asyncio", by_hand),
    **{f"listener, {loop}": (loop, by_listener) for loop in EVENT_LOOPS},
    f"poll by hand, {LIBRDKAFKA}": ("asyncio", by_poll),
    **{
        f"listener, {loop}, {LIBRDKAFKA}": (loop, partial(by_listener, client=LIBRDKAFKA))
        for loop in LIBRDKAFKA_LOOPS
    },
}


async def create(bootstrap: str, topic: str, records: int) -> None:
    """Create the topic, with as many records in each partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        # Which asks until the broker leads all of them.
        await consumer.end_offsets([TopicPartition(topic, each) for each in range(PARTITIONS)])
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for _ in range(records):
            for partition in range(PARTITIONS):
                await producer.send(topic, b"0", partition=partition)
        await producer.flush()
