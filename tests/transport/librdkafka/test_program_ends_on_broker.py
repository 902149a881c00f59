"""Ctrl-C ends a program that uses librdkafka, wherever it is, and whatever its broker does."""

import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.backends import name_of
from tests.support.kafka_from_outside import create_topic, produce, unique

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
import anyio
from sdml_kafka import KafkaListener, KafkaProducer, parse_text
from tests.support.backends import BACKENDS

backend, bootstrap, topic = sys.argv[1:]
where = {"bootstrap_servers": bootstrap, "client": "librdkafka", "stop_timeout": 2.0}
spec = {"topics": [topic], "type": str, "parser": parse_text}

async def main():
    print("begins", flush=True)
    async with KafkaProducer(**where) as producer, KafkaListener(
        [spec], group_id="group", auto_offset_reset="earliest", **where
    ) as listener:
        async for value in await listener.subscribe(str):
            await producer.send(topic, value.encode())
            print("reads", flush=True)

anyio.run(main, **BACKENDS[backend])
"""
TRANSACTIONS = """
import sys
import anyio
from sdml_kafka import KafkaListener, Send, parse_text
from tests.support.backends import BACKENDS

backend, bootstrap, topic = sys.argv[1:]
where = {"bootstrap_servers": bootstrap, "client": "librdkafka", "stop_timeout": 2.0}
spec = {"topics": [topic], "type": str, "parser": parse_text}
listener = KafkaListener([spec], group_id="group", auto_offset_reset="earliest", **where)

@listener.processor(str, exactly_once=True)
async def copy(value, delivery):
    print("reads", flush=True)
    return Send(topic, value.encode())  # which comes next

async def main():
    print("begins", flush=True)
    async with listener:
        await anyio.sleep_forever()

anyio.run(main, **BACKENDS[backend])
"""
ENDS_WITHIN_S = 12.0


@contextmanager
def program(
    backend: str, kafka: EmbeddedKafka, topic: str, text: str = PROGRAM
) -> Generator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", text, backend, kafka.bootstrap_servers, topic]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdout is not None
    while (found := process.stdout.readline().strip()) != line:
        assert found, "the program has ended"


def interrupt(process: "subprocess.Popen[str]") -> None:
    """Interrupt the program, and see that it ends by that."""
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired as late:
        # Python drops an interrupt that lands in the callback of a weak reference. Imports have
        # such callbacks, and people press Ctrl-C once more.
        said = str(late.stderr)
        assert "Exception ignored in" in said, said
        assert "KeyboardInterrupt" in said, said
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=ENDS_WITHIN_S)
    # confluent-kafka leaves an interrupt behind that lands in a callback which it has called.
    if "returned a result with an exception set" not in errors:
        assert process.returncode in (-signal.SIGINT, 130), errors
    assert "KeyboardInterrupt" in errors
    assert "Fatal Python error" not in errors


@pytest.mark.parametrize("reads", [False, True], ids=["entering", "reading"])
@pytest.mark.parametrize(
    "is_frozen",
    [pytest.param(False, id="", marks=pytest.mark.soak), pytest.param(True, id="frozen")],
)
async def test_it_ends(
    mortal_kafka: EmbeddedKafka, anyio_backend: Any, *, reads: bool, is_frozen: bool
) -> None:
    topic = await create_topic(mortal_kafka.bootstrap_servers, unique("topic"), 1)
    await produce(mortal_kafka.bootstrap_servers, topic, ["a"])
    with program(name_of(anyio_backend), mortal_kafka, topic) as process:
        wait_for(process, "begins")
        try:
            if reads:
                wait_for(process, "reads")
            if is_frozen:
                mortal_kafka.freeze()
            interrupt(process)
        finally:
            mortal_kafka.thaw()


@pytest.mark.soak
@pytest.mark.parametrize("is_frozen", [False, True], ids=["", "frozen"])
async def test_it_ends_in_transactions(
    mortal_kafka: EmbeddedKafka, anyio_backend: Any, *, is_frozen: bool
) -> None:
    topic = await create_topic(mortal_kafka.bootstrap_servers, unique("topic"), 1)
    await produce(mortal_kafka.bootstrap_servers, topic, ["a"])
    with program(name_of(anyio_backend), mortal_kafka, topic, TRANSACTIONS) as process:
        for _ in range(5):
            wait_for(process, "reads")
        try:
            if is_frozen:
                mortal_kafka.freeze()
            interrupt(process)
        finally:
            mortal_kafka.thaw()


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_it_ends_at_any_time(embedded_kafka: EmbeddedKafka, anyio_backend: Any) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("topic"), 1)
    await produce(embedded_kafka.bootstrap_servers, topic, ["a"])
    for number in range(60):
        with program(name_of(anyio_backend), embedded_kafka, topic) as process:
            wait_for(process, "begins")
            time.sleep(0.02 * number)  # noqa: ASYNC251  # nothing else runs here
            interrupt(process)
