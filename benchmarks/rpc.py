"""How fast are calls beside a hand-written client and server on bare aiokafka?

    uv run python benchmarks/rpc.py [--rounds 5] [--seconds 3] [--in-flight 1 100 1000]

Brings the embedded Kafka up. Each contestant is a client process and a server process; they take
turns, round after round, with the same acks, linger and batch size; the bare one has no
deadlines, no idempotence, and no handling of any error. Prints the median of the
ratios to the bare pair of the same round, and the ratio of the best rounds: absolute figures mean
little on a busy machine. The last column: most calls a second, least p50, least CPU time a call
of the client and of the server.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sdml_kafka import KafkaRPC, KafkaRPCServer, parse_bytes
from sdml_kafka.testing import EmbeddedKafka

PAYLOAD = b"x" * 200
PRODUCER: dict[str, Any] = {"acks": "all", "linger_ms": 0, "max_batch_size": 1 << 20}
CONSUMER: dict[str, Any] = {"fetch_max_wait_ms": 250, "enable_auto_commit": False}
WARM_UP_CALLS = 2000

Request = Callable[[bytes], Awaitable[bytes]]


# -- the bare pair -----------------------------------------------------------------------


async def bare_server(bootstrap: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **PRODUCER)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=f"{topic}-server",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=250,
    )
    await producer.start()
    await consumer.start()
    print("ready", flush=True)
    while True:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                headers = dict(record.headers)
                await producer.send(
                    headers["x-reply-topic"].decode(),
                    record.value,
                    key=record.key,
                    headers=[("request_id", headers["request_id"])],
                )


@asynccontextmanager
async def bare_client(bootstrap: str, topic: str) -> AsyncGenerator[Request]:
    loop = asyncio.get_running_loop()
    reply_topic = f"{topic}-reply"
    waiting: dict[bytes, asyncio.Future[bytes]] = {}
    numbers = count()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **PRODUCER)
    consumer = AIOKafkaConsumer(
        reply_topic, bootstrap_servers=bootstrap, group_id=f"{topic}-client", **CONSUMER
    )

    async def read() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    future = waiting.pop(dict(record.headers)["request_id"], None)
                    if future is not None and not future.done():
                        future.set_result(record.value)

    async def request(value: bytes) -> bytes:
        id_ = b"bare-%d" % next(numbers)
        future: asyncio.Future[bytes] = loop.create_future()
        waiting[id_] = future
        headers = [("request_id", id_), ("x-reply-topic", reply_topic.encode())]
        await producer.send(topic, value, key=id_, headers=headers)
        return await future

    await producer.start()
    await consumer.start()
    await consumer.seek_to_end()
    reading = asyncio.create_task(read())
    try:
        yield request
    finally:
        reading.cancel()
        await consumer.stop()
        await producer.stop()


# -- ours --------------------------------------------------------------------------------


async def our_server(bootstrap: str, topic: str) -> None:
    server = KafkaRPCServer(group_id=f"{topic}-server", bootstrap_servers=bootstrap)

    @server.handler(topic)
    async def echo(value: bytes, call: object) -> bytes:
        return value

    async with server:
        print("ready", flush=True)
        await anyio.sleep_forever()


@asynccontextmanager
async def our_client(bootstrap: str, topic: str) -> AsyncGenerator[Request]:
    reply_topic = f"{topic}-reply"
    parsers: Any = [{"topics": [reply_topic], "type": bytes, "parser": parse_bytes}]
    async with KafkaRPC(parsers, bootstrap_servers=bootstrap) as rpc:

        async def request(value: bytes) -> bytes:
            return await rpc.request(topic, value, res_expect_type=bytes)

        yield request


# -- measuring ---------------------------------------------------------------------------

Pair = tuple[str, Callable[..., Any], Callable[..., Any]]
PAIRS: dict[str, Pair] = {
    "bare": ("asyncio", bare_client, bare_server),
    "ours asyncio": ("asyncio", our_client, our_server),
    "ours trio": ("trio", our_client, our_server),
}


async def measure(
    name: str, bootstrap: str, topic: str, in_flight: int, seconds: float, server: int
) -> None:
    """Prints calls per second, p50 and p99 in ms, CPU us a call of client and server."""
    times: list[float] = []
    clock = time.perf_counter
    async with PAIRS[name][1](bootstrap, topic) as request:

        async def caller(calls: int | None, until: float) -> None:
            while clock() < until and (calls is None or calls > 0):
                began = clock()
                assert await request(PAYLOAD) == PAYLOAD
                times.append(clock() - began)
                calls = None if calls is None else calls - 1

        async def run(callers: int, calls: int | None, until: float) -> float:
            began = clock()
            async with anyio.create_task_group() as tasks:
                for _ in range(callers):
                    tasks.start_soon(caller, calls, until)
            return clock() - began

        warming = min(in_flight, 100)
        await run(warming, WARM_UP_CALLS // warming // (20 if in_flight == 1 else 1), clock() + 60)
        times.clear()
        used, server_used = time.process_time(), cpu_s(server)
        took = await run(in_flight, None, clock() + seconds)
        used, server_used = time.process_time() - used, cpu_s(server) - server_used
    times.sort()
    count = len(times)
    p50, p99 = times[count // 2], times[int(count * 0.99)]
    print(count / took, p50 * 1000, p99 * 1000, used / count * 1e6, server_used / count * 1e6)


def cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def run_pair(
    name: str, bootstrap: str, topic: str, in_flight: int, seconds: float
) -> tuple[float, ...]:
    script = [sys.executable, __file__, "--one"]
    with subprocess.Popen(
        [*script, "server", name, bootstrap, topic], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline().strip() == "ready", f"the server of {name!r} is down"
            command = [*script, "client", name, bootstrap, topic, str(in_flight), str(seconds)]
            command.append(str(server.pid))
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        finally:
            server.kill()
    return tuple(map(float, output.split()))


async def create(bootstrap: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for name in (topic, f"{topic}-reply"):
        await producer.partitions_for(name)
    await producer.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--in-flight", type=int, nargs="+", default=[1, 100, 1000])
    arguments.add_argument("--pairs", nargs="+", default=list(PAIRS), choices=PAIRS)
    arguments.add_argument("--one", nargs="+", help="internal")
    options = arguments.parse_args()
    if options.one:
        role, name, *rest = options.one
        backend, _, server = PAIRS[name]
        if role == "server":
            anyio.run(server, *rest, backend=backend)
        else:
            bootstrap, topic, *numbers = rest
            in_flight, seconds, pid = map(float, numbers)
            anyio.run(
                measure, name, bootstrap, topic, int(in_flight), seconds, int(pid), backend=backend
            )
        return
    results: dict[tuple[int, str], list[tuple[float, ...]]] = {}
    with EmbeddedKafka() as kafka:
        for round_ in range(options.rounds):
            for in_flight in options.in_flight:
                for number, name in enumerate(options.pairs):
                    topic = f"r{round_}-{in_flight}-{number}"
                    asyncio.run(create(kafka.bootstrap_servers, topic))
                    results.setdefault((in_flight, name), []).append(
                        run_pair(name, kafka.bootstrap_servers, topic, in_flight, options.seconds)
                    )
            print(f"round {round_ + 1}/{options.rounds} done", file=sys.stderr)
    report(results, options.in_flight, options.pairs)


def report(
    results: dict[tuple[int, str], list[tuple[float, ...]]],
    in_flights: list[int],
    names: list[str],
) -> None:
    print(f"{'bare = 1':<24}{'calls/s':>20}{'best':>7}{'p50':>7}{'p99':>7}   absolute")
    for in_flight in in_flights:
        bare = results[in_flight, names[0]]
        for name in names:
            own = results[in_flight, name]
            speeds = [o[0] / b[0] for o, b in zip(own, bare, strict=True)]
            p50 = statistics.median(o[1] / b[1] for o, b in zip(own, bare, strict=True))
            p99 = statistics.median(o[2] / b[2] for o, b in zip(own, bare, strict=True))
            best = max(o[0] for o in own) / max(b[0] for b in bare)
            spread = f"{statistics.median(speeds):.2f} ({min(speeds):.2f}-{max(speeds):.2f})"
            cpu = "+".join(f"{min(o[at] for o in own):.0f}" for at in (3, 4))
            absolute = f"{max(o[0] for o in own):.0f}/s {min(o[1] for o in own):.2f} ms {cpu} us"
            label = f"{name}, {in_flight} in flight"
            print(f"{label:<24}{spread:>20}{best:>7.2f}{p50:>7.2f}{p99:>7.2f}   {absolute}")


if __name__ == "__main__":
    main()
