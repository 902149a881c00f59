"""A member that writes into SQLite in a process of its own, which a test kills.

Statements take a random time, so that it dies between any two of them. SIGTERM makes it leave
by plan.
"""

import random
import signal
import sqlite3
import sys
import time
from functools import partial
from typing import Any

import anyio

from examples.sqlite_writer import writer
from sdml_kafka import parse_json
from tests.support.backends import BACKENDS

SESSION_TIMEOUT_MS = 3000


def take_time(statement: str) -> None:
    if not statement.startswith("INSERT") or random.random() < 0.01:  # there are many rows
        time.sleep(random.random() ** 4 * 0.2)


class SlowConnection(sqlite3.Connection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.set_trace_callback(take_time)


async def main(bootstrap: str, topic: str, group: str, path: str, name: str) -> None:
    listener = writer(
        bootstrap,
        path,
        {"topics": [topic], "type": dict, "parser": parse_json},
        group_id=group,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=300,
        start_timeout=60.0,
    )
    slow_connect: Any = partial(sqlite3.connect, factory=SlowConnection)
    sqlite3.connect = slow_connect
    async with anyio.create_task_group() as tasks:

        async def leave_on_sigterm() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

        tasks.start_soon(leave_on_sigterm)
        async with listener:
            print("ready", flush=True)
            await anyio.sleep_forever()


if __name__ == "__main__":
    backend, *arguments = sys.argv[1:]
    bootstrap, topic, group, path, name = arguments
    anyio.run(main, bootstrap, topic, group, path, name, **BACKENDS[backend])
