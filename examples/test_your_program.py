"""Test a program on a broker in memory, within milliseconds, and on a real Kafka.

    uv run pytest examples/test_your_program.py

Each test runs on asyncio and on trio.
"""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
from aiokafka import AIOKafkaProducer

from sdml_kafka import KafkaListener, ParserSpec, TopicPartition, parse_text
from sdml_kafka.testing import EmbeddedKafka, MemoryBroker

GUESTS: ParserSpec[str] = {"topics": ["guests"], "type": str, "parser": parse_text}


async def greet(listener: KafkaListener, say: Callable[[str], Awaitable[None]]) -> None:
    """Greet every guest: the program that is tested."""
    async for name in await listener.subscribe(str):
        await say(f"Hello, {name}!")


async def hear(listener: KafkaListener, count: int) -> list[str]:
    """Run the program until it has said `count` sentences, and return them."""
    mouth, ear = anyio.create_memory_object_stream[str](count)
    with anyio.fail_after(30), mouth, ear:
        async with anyio.create_task_group() as tasks, listener:
            tasks.start_soon(greet, listener, mouth.send)
            heard = [await ear.receive() for _ in range(count)]
    return heard


@pytest.mark.anyio
async def test_in_memory() -> None:
    broker = MemoryBroker({"guests": 1})
    broker.produce("guests", b"Ann")
    broker.produce("guests", b"Bob")
    connect = broker.connect("door", auto_offset_reset="earliest")
    listener = KafkaListener([GUESTS], transport=connect)
    assert await hear(listener, 2) == ["Hello, Ann!", "Hello, Bob!"]
    assert broker.committed("door", TopicPartition("guests", 0)) == 2


@pytest.fixture
def bootstrap(embedded_kafka: EmbeddedKafka) -> str:  # the fixture comes with this package
    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=embedded_kafka.bootstrap_servers) as producer:
            await producer.send_and_wait("guests", b"Eve")

    asyncio.run(produce())
    return embedded_kafka.bootstrap_servers


@pytest.mark.anyio
async def test_on_a_real_kafka(bootstrap: str) -> None:
    listener = KafkaListener(
        [GUESTS], bootstrap_servers=bootstrap, group_id="door", auto_offset_reset="earliest"
    )
    assert await hear(listener, 1) == ["Hello, Eve!"]
