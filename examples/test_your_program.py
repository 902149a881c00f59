"""How to test a program: on a broker in memory (milliseconds), and on a real Kafka (once a run).

    uv run pytest examples/test_your_program.py

Each test runs on asyncio and on trio. The fixture `embedded_kafka` comes with this package.
"""

import asyncio

import anyio
import pytest
from aiokafka import AIOKafkaProducer

from sdml_kafka import KafkaListener, ParserSpec, TopicPartition, parse_text
from sdml_kafka.testing import EmbeddedKafka, MemoryBroker

GUESTS: ParserSpec[str] = {"topics": ["guests"], "type": str, "parser": parse_text}


async def greet(listener: KafkaListener, greetings: list[str]) -> None:
    """The program."""
    async for name in await listener.subscribe(str):
        greetings.append(f"Hello, {name}!")


async def greetings_of(listener: KafkaListener, count: int) -> list[str]:
    greetings: list[str] = []
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, listener:
            tasks.start_soon(greet, listener, greetings)
            while listener.status().counters.finished < count:
                await anyio.sleep(0.01)
    return greetings


@pytest.mark.anyio
async def test_in_memory() -> None:
    broker = MemoryBroker({"guests": 1})
    broker.produce("guests", b"Ann")
    broker.produce("guests", b"Bob")
    connect = broker.connect("door", auto_offset_reset="earliest")
    listener = KafkaListener([GUESTS], transport=connect)
    assert await greetings_of(listener, 2) == ["Hello, Ann!", "Hello, Bob!"]
    assert broker.committed("door", TopicPartition("guests", 0)) == 2


@pytest.fixture
def bootstrap(embedded_kafka: EmbeddedKafka) -> str:
    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=embedded_kafka.bootstrap_servers) as producer:
            await producer.send_and_wait("guests", b"Eve")

    asyncio.run(produce())
    return embedded_kafka.bootstrap_servers


@pytest.mark.anyio
async def test_on_a_real_kafka(bootstrap: str) -> None:
    options = {"group_id": "door", "auto_offset_reset": "earliest"}
    listener = KafkaListener([GUESTS], bootstrap_servers=bootstrap, **options)
    assert await greetings_of(listener, 1) == ["Hello, Eve!"]
