"""Measure how fast calls are beside a hand-written client and server on bare aiokafka.

    uv run python benchmarks/rpc.py [--rounds 30] [--seconds 0.5] [--in-flight 1 100 1000]

The script starts the embedded Kafka. Each contestant is a pair of a client process and a server
process. All pairs run, and take turns of half a second, round after round, with the same acks,
linger and batch size; the bare pair has no deadlines, no idempotence, and no handling of errors.
The output is the median of the ratios to the bare pair of the same round, and the ratio of the best
rounds, because absolute figures mean little on a busy machine. p99 is taken over all rounds
together. The last column holds medians: calls per second, p50, and the CPU time per call of the
client and of the server.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
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
WARM_UP_S = 2.0

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


async def inside_trio_asyncio(function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    import trio_asyncio  # whose import alone changes asyncio's event loops

    async with trio_asyncio.open_loop():
        await function(*arguments)


# -- measuring ---------------------------------------------------------------------------

Sample = tuple[float, ...]
Pair = tuple[str, Callable[..., Any], Callable[..., Any]]
PAIRS: dict[str, Pair] = {
    "bare": ("asyncio", bare_client, bare_server),
    "ours asyncio": ("asyncio", our_client, our_server),
    "ours trio": ("trio", our_client, our_server),
    "ours trio-asyncio": ("trio-asyncio", our_client, our_server),
}


async def measure(name: str, bootstrap: str, topic: str, in_flight: int, server: int) -> None:
    """Make calls for each number of seconds that comes on stdin, and print one line for it.

    The line holds the calls per second, the p50 in ms, the p99 of all calls since the first line
    (which warms up), and the CPU time per call in us, of the client and of the server.
    """
    times: list[float] = []
    all_times: list[float] | None = None
    clock = time.perf_counter
    async with PAIRS[name][1](bootstrap, topic) as request:

        async def caller(until: float) -> None:
            while clock() < until:
                began = clock()
                assert await request(PAYLOAD) == PAYLOAD
                times.append(clock() - began)

        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            times.clear()
            used, server_used, began = time.process_time(), cpu_s(server), clock()
            async with anyio.create_task_group() as tasks:
                for _ in range(in_flight):
                    tasks.start_soon(caller, began + float(line))
            took = clock() - began
            used, server_used = time.process_time() - used, cpu_s(server) - server_used
            count = len(times)
            p50 = statistics.median(times)
            all_times = [] if all_times is None else all_times + times
            p99 = sorted(all_times)[int(len(all_times) * 0.99)] if all_times else 0.0
            cpu = (used / count * 1e6, server_used / count * 1e6)
            print(count / took, p50 * 1000, p99 * 1000, *cpu, flush=True)


def cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


@contextmanager
def running_pair(
    name: str, bootstrap: str, topic: str, in_flight: int
) -> Generator[Callable[[float], Sample]]:
    """Start both processes; yield what lets them work for a number of seconds."""
    script = [sys.executable, __file__, "--one"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*script, "server", name, bootstrap, topic], **pipes) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().strip() == "ready", f"the server of {name!r} is down"
            command = [*script, "client", name, bootstrap, topic, str(in_flight), str(server.pid)]
            with subprocess.Popen(command, **pipes) as client:

                def run(seconds: float) -> Sample:
                    assert client.stdin is not None
                    assert client.stdout is not None
                    client.stdin.write(f"{seconds}\n")
                    client.stdin.flush()
                    return tuple(map(float, client.stdout.readline().split()))

                yield run
                client.communicate()  # the client ends when its stdin does
        finally:
            server.kill()


async def create(bootstrap: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for name in (topic, f"{topic}-reply"):
        await producer.partitions_for(name)
    await producer.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("--seconds", type=float, default=0.5)
    arguments.add_argument("--in-flight", type=int, nargs="+", default=[1, 100, 1000])
    arguments.add_argument("--pairs", nargs="+", default=list(PAIRS), choices=PAIRS)
    arguments.add_argument("--one", nargs="+", help="internal")
    options = arguments.parse_args()
    if options.one:
        role, name, bootstrap, topic, *numbers = options.one
        backend, _, server = PAIRS[name]
        function: Callable[..., Awaitable[None]] = server if role == "server" else measure
        given: list[Any] = [bootstrap, topic, *map(int, numbers)]
        if role == "client":
            given.insert(0, name)
        if backend == "trio-asyncio":
            anyio.run(inside_trio_asyncio, function, *given, backend="trio")
        else:
            anyio.run(function, *given, backend=backend)
        return
    with EmbeddedKafka() as kafka:
        print(f"{'bare = 1':<24}{'calls/s':>20}{'best':>7}{'p50':>7}{'p99':>7}   absolute")
        for in_flight in options.in_flight:
            results = take_turns(kafka.bootstrap_servers, in_flight, options)
            report(results, in_flight)


def take_turns(
    bootstrap: str, in_flight: int, options: argparse.Namespace
) -> dict[str, list[Sample]]:
    results: dict[str, list[Sample]] = {name: [] for name in options.pairs}
    with ExitStack() as stack:
        runs: dict[str, Callable[[float], Sample]] = {}
        for number, name in enumerate(options.pairs):
            topic = f"calls-{in_flight}-{number}"
            asyncio.run(create(bootstrap, topic))
            runs[name] = stack.enter_context(running_pair(name, bootstrap, topic, in_flight))
        for run in runs.values():
            run(WARM_UP_S)
        for round_ in range(options.rounds):
            # The order alternates, so that no pair always follows the same one.
            names = options.pairs if round_ % 2 else options.pairs[::-1]
            for name in names:
                results[name].append(runs[name](options.seconds))
    return results


def report(results: dict[str, list[Sample]], in_flight: int) -> None:
    bare = next(iter(results.values()))
    for name, own in results.items():
        speeds = [o[0] / b[0] for o, b in zip(own, bare, strict=True)]
        p50 = statistics.median(o[1] / b[1] for o, b in zip(own, bare, strict=True))
        p99 = own[-1][2] / bare[-1][2]
        best = max(o[0] for o in own) / max(b[0] for b in bare)
        spread = f"{statistics.median(speeds):.2f} ({min(speeds):.2f}-{max(speeds):.2f})"
        cpu = "+".join(f"{statistics.median(o[at] for o in own):.0f}" for at in (3, 4))
        middle = [statistics.median(o[at] for o in own) for at in (0, 1)]
        label = f"{name}, {in_flight} in flight"
        print(
            f"{label:<24}{spread:>20}{best:>7.2f}{p50:>7.2f}{p99:>7.2f}   "
            f"{middle[0]:.0f}/s {middle[1]:.2f} ms {cpu} us",
            flush=True,
        )


if __name__ == "__main__":
    main()
