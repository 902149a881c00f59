"""Large records that wait take no more memory than they may, the client's own buffer included."""

import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaProducer

from sdml_kafka import KafkaListener, KafkaRPCServer, parse_bytes
from sdml_kafka.testing import EmbeddedKafka
from tests.support.clients import arguments
from tests.support.kafka_from_outside import create_topic, on_asyncio, unique
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(120)]

MB = 1 << 20
SIZE = 500_000
COUNT = 120
BOUND = 4 * MB
SPARE = 4 * MB
"""What the client fetches ahead, the record in hand, and the answer that is being read."""


@pytest.fixture
async def topic(embedded_kafka: EmbeddedKafka) -> str:
    """Create a topic of 60 MB in two partitions."""
    bootstrap = embedded_kafka.bootstrap_servers
    name = await create_topic(bootstrap, unique("large"), 2)

    async def send_all() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for number in range(COUNT):
                value = number.to_bytes(2).ljust(SIZE, b".")
                await producer.send_and_wait(name, value, partition=number % 2)

    await on_asyncio(send_all())
    return name


@asynccontextmanager
async def peak_below(bound: int, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[None]:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    with capsys.disabled():
        print(f"[{(peak - before) / MB:.1f} MB more at most]", file=sys.stderr)
    assert peak - before < bound


def listener_of_bytes(kafka: EmbeddedKafka, topic: str, **options: Any) -> KafkaListener:
    return KafkaListener(
        [{"topics": [topic], "type": bytes, "parser": parse_bytes}],
        **arguments(
            bootstrap_servers=kafka.bootstrap_servers,
            group_id=unique("group"),
            auto_offset_reset="earliest",
            **options,
        ),
    )


@pytest.mark.usefixtures("client")
async def test_a_listener(
    embedded_kafka: EmbeddedKafka, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = set[int]()
    listener = listener_of_bytes(embedded_kafka, topic, max_bytes_in_flight=BOUND)
    async with listener, peak_below(BOUND + SPARE, capsys):
        async for value in await listener.subscribe(bytes):
            assert listener.status().bytes_in_flight <= BOUND
            seen.add(int.from_bytes(value[:2]))
            if len(seen) < 10:
                await anyio.sleep(0.1)  # all the rest could be fetched meanwhile
            if len(seen) == COUNT:
                break
    assert seen == set(range(COUNT))


async def test_a_server(
    embedded_kafka: EmbeddedKafka, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = set[int]()
    server = KafkaRPCServer(
        bootstrap_servers=embedded_kafka.bootstrap_servers,
        group_id=unique("group"),
        max_bytes_in_flight=BOUND,
    )

    async def handle(value: bytes, call: Any) -> bytes:
        assert server.status().bytes_in_flight <= BOUND
        await anyio.sleep(0.1)
        seen.add(int.from_bytes(value[:2]))
        return b""

    server.handler(topic)(handle)
    async with server, peak_below(BOUND + SPARE, capsys):
        await until(lambda: len(seen) == COUNT)
    assert seen == set(range(COUNT))


@pytest.mark.usefixtures("client")
async def test_records_larger_than_the_bound_pass(
    embedded_kafka: EmbeddedKafka, topic: str
) -> None:
    listener = listener_of_bytes(embedded_kafka, topic, max_bytes_in_flight=1000)
    seen = set[int]()
    async with listener:
        with anyio.fail_after(30):
            async for value in await listener.subscribe(bytes):
                seen.add(int.from_bytes(value[:2]))
                if len(seen) == COUNT:
                    break
    assert seen == set(range(COUNT))
