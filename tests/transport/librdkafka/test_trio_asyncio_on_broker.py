"""Inside of a loop of trio-asyncio, for trio's code and for asyncio's, librdkafka works as ever."""

import subprocess
import sys
from pathlib import Path

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import unique

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
import threading
import warnings

import trio

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import trio_asyncio

from sdml_kafka import KafkaListener, KafkaProducer, parse_text

servers, *topics = sys.argv[1:]
where = {"bootstrap_servers": servers, "client": "librdkafka"}

async def copy(topic):
    spec = {"topics": [topic], "type": str, "parser": parse_text}
    async with KafkaProducer(**where) as producer:
        await producer.send(topic, b"one")
        async with KafkaListener(
            [spec], group_id=topic, auto_offset_reset="earliest", **where
        ) as listener:
            async for value in await listener.subscribe(str):
                print(value)
                break

async def main():
    async with trio_asyncio.open_loop():
        await copy(topics[0])
        await trio_asyncio.aio_as_trio(copy)(topics[1])
    assert threading.enumerate() == [threading.main_thread()], threading.enumerate()

trio.run(main)
"""


def test_it_sends_and_reads_there(embedded_kafka: EmbeddedKafka) -> None:
    """The import of trio-asyncio changes asyncio, so this is a process of its own."""
    topics = unique("from-trio"), unique("from-asyncio")
    command = [sys.executable, "-W", "error", "-c", PROGRAM, embedded_kafka.bootstrap_servers]
    run = subprocess.run([*command, *topics], cwd=ROOT, capture_output=True, text=True, timeout=150)
    assert (run.returncode, run.stdout.split()) == (0, ["one", "one"]), run.stderr
