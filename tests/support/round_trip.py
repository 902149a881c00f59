"""A record to an embedded Kafka and back, by aiokafka on a loop of its own."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


def run[T](work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of its own, so that the client does not depend on the test's backend."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(asyncio.wait_for(work, 30))


async def send(servers: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def read(servers: str, topic: str, count: int = 1) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=f"of-{topic}", auto_offset_reset="earliest"
    )
    async with consumer:
        return [(await consumer.getone()).value for _ in range(count)]


def round_trip(servers: str, topic: str) -> list[bytes | None]:
    async def there_and_back() -> list[bytes | None]:
        await send(servers, topic, b"hello")
        return await read(servers, topic)

    return run(there_and_back())
