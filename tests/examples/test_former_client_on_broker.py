"""A program that was written for the former client runs unchanged."""

import asyncio
import importlib
import json
import sys
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.real_asyncio import on_asyncio

pytestmark = [pytest.mark.broker, pytest.mark.timeout(90)]


def test_the_former_quickstart_runs_unchanged(
    embedded_kafka: EmbeddedKafka,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    monkeypatch.setattr(sys, "argv", ["quickstart_former_client.py", bootstrap])
    program = importlib.import_module("examples.quickstart_former_client")
    printed = ""

    async def scenario() -> None:
        nonlocal printed
        await create_topic(bootstrap, "events")
        running = asyncio.create_task(program.main())
        await program.listener.start()  # a second start returns when the listener is ready
        await produce(bootstrap, "events", [json.dumps({"number": n}) for n in range(3)])
        async with asyncio.timeout(60):
            while printed.count("got") < 3:
                await asyncio.sleep(0.02)
                printed += capsys.readouterr().out
        await program.listener.stop()
        await running

    asyncio.run(scenario())
    assert sorted(printed.splitlines()) == [
        f"got {{'topic': 'events', 'value': {{'number': {number}}}}}" for number in range(3)
    ]


@pytest.mark.anyio
@on_asyncio
async def test_the_quickstart_of_the_former_client_runs_unchanged(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("orders"), 1)
    received = []

    from sdml.kafka_client.clients import KafkaListener
    from sdml.kafka_client.types import ParserSpec

    specs: list[ParserSpec[dict[str, Any]]] = [
        {"topics": [topic], "type": dict, "parser": lambda rec: json.loads(rec.value or b"")}
    ]
    listener = KafkaListener(
        parsers=specs,
        auto_commit={"every": 100, "interval_s": 5.0},
        consumer_factory=lambda: AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id="listener", auto_offset_reset="latest"
        ),
    )
    await listener.start()
    stream = await listener.subscribe(dict)
    await produce(bootstrap, topic, ['{"id": 1}', '{"id": 2}'])
    async for item in stream:
        received.append(item)
        if item["id"] == 2:
            break
    await listener.stop()
    assert received == [{"id": 1}, {"id": 2}]
