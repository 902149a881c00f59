"""A member that processes records in a process of its own, to be killed by a test."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from sdml_kafka import Delivery, KafkaListener
from tests.support.clients import arguments
from tests.support.listener_on_broker import texts

ROOT = Path(__file__).parents[2]


@contextmanager
def running_processor(
    bootstrap: str, topic: str, group: str, stuck: str
) -> Iterator["subprocess.Popen[str]"]:
    """Run a member that prints each value that it has finished, and is stuck with one value."""
    command = [sys.executable, "-m", "tests.support.processing_member"]
    command += [bootstrap, topic, group, stuck]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def main(bootstrap: str, topic: str, group: str, stuck: str) -> None:
    async def handle(value: str, delivery: Delivery[str]) -> None:
        if value == stuck:
            await anyio.sleep_forever()
        print(json.dumps(value), flush=True)

    options = arguments(
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=300,
        auto_commit={"interval_s": 0.2},
    )
    async with KafkaListener(texts(topic), **options) as listener:
        await listener.process(str, handle, order="none", concurrency=20)


if __name__ == "__main__":
    bootstrap, topic, group, stuck = sys.argv[1:5]
    anyio.run(main, bootstrap, topic, group, stuck)
