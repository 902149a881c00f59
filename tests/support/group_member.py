"""A member of a group in a process of its own, to be killed or frozen by a test."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from sdml_kafka import KafkaListener
from tests.support.clients import arguments
from tests.support.listener_on_broker import texts

ROOT = Path(__file__).parents[2]


@contextmanager
def running_member(
    bootstrap: str, topic: str, group: str, *flags: str
) -> Iterator["subprocess.Popen[str]"]:
    """Run a member in a process of its own, which prints each item that it has finished."""
    command = [sys.executable, "-m", "tests.support.group_member", bootstrap, topic, group, *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def last_lines_of(process: "subprocess.Popen[str]") -> list[str]:
    """Return the whole lines that a killed process had written."""
    assert process.stdout is not None
    rest = await anyio.to_thread.run_sync(process.stdout.read)
    return [json.loads(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]


async def lines_of(process: "subprocess.Popen[str]", count: int) -> list[str]:
    """Return the next `count` items that the member prints."""
    assert process.stdout is not None
    out = process.stdout
    return [
        json.loads(line)
        for line in await anyio.to_thread.run_sync(lambda: [out.readline() for _ in range(count)])
    ]


async def main(bootstrap: str, topic: str, group: str, slow: bool) -> None:
    async with anyio.create_task_group() as tasks:

        async def end_on_sigterm() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

        tasks.start_soon(end_on_sigterm)
        options = arguments(
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            session_timeout_ms=3000,
            heartbeat_interval_ms=300,
            auto_commit={"every": 10_000 if slow else 1},
        )
        async with KafkaListener(texts(topic), **options) as listener:
            async for value in await listener.subscribe(str):
                print(json.dumps(value), flush=True)
                await anyio.sleep(0.2 if slow else 0.0)


if __name__ == "__main__":
    bootstrap, topic, group = sys.argv[1:4]
    anyio.run(main, bootstrap, topic, group, "--slow" in sys.argv)
