"""Measure how fast `async for item in stream` is beside bare aiokafka.

    uv run python benchmarks/listener_throughput.py [--records 200000] [--rounds 5] [--parser json]

The script starts the embedded Kafka and writes the records once. Then, round after round, every
contestant reads all records, each in a process of its own. The output is the median of the ratios
to the bare `getmany` loop of the same round, and the ratio of the best rounds, because the best
rounds are disturbed least by other load on the machine: absolute figures mean little.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sdml_kafka import KafkaListener, TypeStream, parse_bytes, parse_json
from sdml_kafka.testing import EmbeddedKafka

TOPIC = "benchmark"
PARTITIONS = 4
PARSERS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "json": (dict, parse_json),
    "bytes": (bytes, parse_bytes),
}


def consumer(bootstrap: str, **options: Any) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=f"benchmark-{time.time_ns()}",
        auto_offset_reset="earliest",
        **options,
    )


async def bare_getmany(bootstrap: str, count: int, parser: Callable[[Any], Any]) -> float:
    client = consumer(bootstrap)
    client.subscribe([TOPIC])
    await client.start()
    began, seen = time.perf_counter(), 0
    while seen < count:
        for records in (await client.getmany(timeout_ms=200)).values():
            for record in records:
                parser(record)
                seen += 1
    took = time.perf_counter() - began
    await client.stop()
    return took


async def bare_async_for(bootstrap: str, count: int, parser: Callable[[Any], Any]) -> float:
    client = consumer(bootstrap)
    client.subscribe([TOPIC])
    await client.start()
    began, seen = time.perf_counter(), 0
    async for record in client:
        parser(record)
        seen += 1
        if seen == count:
            break
    took = time.perf_counter() - began
    await client.stop()
    return took


async def listener(bootstrap: str, count: int, parser: Callable[[Any], Any]) -> float:
    type_ = next(t for t, p in PARSERS.values() if p is parser)
    async with KafkaListener(
        [{"topics": [TOPIC], "type": type_, "parser": parser}],
        consumer_factory=lambda: consumer(bootstrap),
        auto_commit={"every": 1000},
    ) as client:
        began, seen = time.perf_counter(), 0
        stream: TypeStream[Any] = await client.subscribe(type_)
        async for _ in stream:
            seen += 1
            if seen == count:
                break
        return time.perf_counter() - began


async def inside_trio_asyncio(function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    import trio_asyncio  # whose import alone changes asyncio's event loops

    async with trio_asyncio.open_loop():
        return await function(*arguments)


Contestant = tuple[str, Callable[[str, int, Any], Awaitable[float]], dict[str, bool]]
CONTESTANTS: dict[str, Contestant] = {
    "bare getmany": ("asyncio", bare_getmany, {}),
    "bare async for": ("asyncio", bare_async_for, {}),
    "listener asyncio": ("asyncio", listener, {}),
    "listener uvloop": ("asyncio", listener, {"use_uvloop": True}),
    "listener trio": ("trio", listener, {}),
    "listener trio-asyncio": ("trio", partial(inside_trio_asyncio, listener), {}),
}


def run_one(name: str, bootstrap: str, count: int, parser: str) -> None:
    backend, contestant, options = CONTESTANTS[name]
    took = anyio.run(
        contestant, bootstrap, count, PARSERS[parser][1], backend=backend, backend_options=options
    )
    print(took)


async def fill(bootstrap: str, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=1 << 18)
    await producer.start()
    filler = "x" * 480
    for number in range(count):
        value = json.dumps({"n": number, "filler": filler})[:-2].ljust(510, "x") + '"}'
        await producer.send(TOPIC, value.encode(), partition=number % PARTITIONS)
    await producer.flush()
    await producer.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=200_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--parser", choices=PARSERS, default="json")
    arguments.add_argument("--one", nargs=2, metavar=("NAME", "BOOTSTRAP"), help="internal")
    options = arguments.parse_args()
    if options.one:
        name, bootstrap = options.one
        run_one(name, bootstrap, options.records, options.parser)
        return
    with EmbeddedKafka(properties={"num.partitions": str(PARTITIONS)}) as kafka:
        asyncio.run(fill(kafka.bootstrap_servers, options.records))
        times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
        for number in range(options.rounds):
            for name in CONTESTANTS:
                command = [sys.executable, __file__, "--one", name, kafka.bootstrap_servers]
                command += ["--records", str(options.records), "--parser", options.parser]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                times[name].append(float(output))
            print(f"round {number + 1}/{options.rounds} done", file=sys.stderr)
    report(times)


def report(times: dict[str, list[float]]) -> None:
    bare = times["bare getmany"]
    print(f"{'speed, bare getmany = 1':<24}{'median (range)':>20}{'best':>8}{'best s':>8}")
    for name, own in times.items():
        ratios = [b / o for b, o in zip(bare, own, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"{name:<24}{spread:>20}{min(bare) / min(own):>8.2f}{min(own):>8.2f}")


if __name__ == "__main__":
    main()
