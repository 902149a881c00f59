"""A program that was written for the former client runs unchanged."""

import asyncio
import importlib
import json
import sys

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce

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
        await program.listener.start()  # again: returns when it is ready
        await produce(bootstrap, "events", [json.dumps({"number": n}) for n in range(3)])
        async with asyncio.timeout(10):
            while printed.count("got") < 3:
                await asyncio.sleep(0.02)
                printed += capsys.readouterr().out
        await program.listener.stop()
        await running

    asyncio.run(scenario())
    assert sorted(printed.splitlines()) == [
        f"got {{'topic': 'events', 'value': {{'number': {number}}}}}" for number in range(3)
    ]
