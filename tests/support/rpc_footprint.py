"""A client and a server, each a process of its own that reports what it holds when it is asked.

It is asked by a line on stdin, the number of calls to make first, and answers with a line of JSON.
"""

import gc
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import anyio
import anyio.to_thread
import psutil

from sdml_kafka import Call, CallTimeout, KafkaRPC, KafkaRPCServer, RemoteError
from tests.support.backends import BACKENDS
from tests.support.clients import arguments

CALLERS, CONCURRENCY = 500, 200
NEVER, BRIEF_S = b"never", 0.05
LATE, LATE_S, CANCEL_AFTER_S = b"late", 0.3, 0.02

Work = Callable[[int], Awaitable[Mapping[str, int]]]
"""Makes the given number of calls, and returns how they ended, once all have ended."""


@asynccontextmanager
async def client(bootstrap: str, topic: str) -> AsyncGenerator[Work]:
    ended = {"replied": 0, "timed_out": 0, "cancelled": 0}

    async def one_call(rpc: KafkaRPC, number: int) -> None:
        """Make a call; a tenth of the numbers times out or is cancelled."""
        if number % 20 == 0:
            try:
                await rpc.request(topic, NEVER, res_timeout=BRIEF_S)
            except (CallTimeout, RemoteError):
                ended["timed_out"] += 1
        elif number % 20 == 10:
            with anyio.move_on_after(CANCEL_AFTER_S) as scope:
                await rpc.request(topic, LATE)
            ended["cancelled" if scope.cancelled_caught else "replied"] += 1
        else:
            value = b"%d" % number
            assert await rpc.request(topic, value) == value
            ended["replied"] += 1

    async def caller(rpc: KafkaRPC, numbers: "count[int]", calls: int) -> None:
        while (number := next(numbers)) < calls:
            await one_call(rpc, number)

    async with KafkaRPC(bootstrap_servers=bootstrap, **arguments()) as rpc:

        async def work(calls: int) -> Mapping[str, int]:
            numbers = count()
            async with anyio.create_task_group() as tasks:
                for _ in range(CALLERS):
                    tasks.start_soon(caller, rpc, numbers, calls)
            return {**ended, "in_flight": rpc.status().in_flight}

        # The server keeps its workers, so let it make all of them now.
        async with anyio.create_task_group() as tasks:
            for _ in range(2 * CONCURRENCY):
                tasks.start_soon(partial(rpc.request, topic, LATE))
        yield work


@asynccontextmanager
async def server(bootstrap: str, topic: str) -> AsyncGenerator[Work]:
    options = arguments(concurrency=CONCURRENCY)
    serving = KafkaRPCServer(bootstrap_servers=bootstrap, group_id=topic, **options)

    @serving.handler(topic)
    async def echo(value: bytes, call: Call) -> bytes:
        if value == NEVER:
            await anyio.sleep_forever()
        if value == LATE:
            await anyio.sleep(LATE_S)
        return value

    async with serving:

        async def work(calls: int) -> Mapping[str, int]:
            while serving.status().in_flight:  # noqa: ASYNC110
                await anyio.sleep(0.05)
            counters = serving.status().counters
            return {"requests": counters.requests, "replies": counters.replies}

        yield work


def held() -> Mapping[str, Any]:
    gc.collect()
    objects: dict[str, int] = {}
    for thing in gc.get_objects():
        if str(type(thing).__module__).startswith("sdml_kafka"):
            name = type(thing).__qualname__
            objects[name] = objects.get(name, 0) + 1
    return {
        "rss_mb": psutil.Process().memory_info().rss / (1 << 20),
        "objects": objects,
        "all_objects": len(gc.get_objects()),
        "tasks": len(anyio.get_running_tasks()),
    }


async def main(role: str, bootstrap: str, topic: str) -> None:
    async with {"client": client, "server": server}[role](bootstrap, topic) as work:
        print("ready", flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            counters = await work(int(line))
            print(json.dumps({**held(), "counters": counters}), flush=True)


if __name__ == "__main__":
    backend, role, bootstrap, topic = sys.argv[1:]
    anyio.run(main, role, bootstrap, topic, **BACKENDS[backend])
