"""Hooks that override nothing cost no call of a function, and those for batches hardly any."""

from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any

import anyio
import pytest
import sniffio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client import CollectorRegistry

from sdml_kafka import (
    Call,
    Committed,
    Delivered,
    Delivery,
    Finished,
    Hook,
    KafkaListener,
    KafkaProducer,
    KafkaRPC,
    KafkaRPCServer,
    ParserSpec,
    parse_json,
)
from sdml_kafka.listener import reader
from sdml_kafka.observability.opentelemetry import OpenTelemetry
from sdml_kafka.observability.prometheus import Prometheus
from sdml_kafka.testing import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from sdml_kafka.workers import pool
from tests.support.counted_work import Work, counted

# In one process, which counts the calls without hooks once.
pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("work per hook")]

COUNT = 600
type Do = Callable[[Sequence[Hook]], Awaitable[Work]]
SPEC: ParserSpec[Any] = {"topics": ["orders"], "type": dict, "parser": parse_json}


class Batches(Hook):
    """Observes what happens in batches."""

    def delivered(self, event: Delivered) -> None:
        pass

    def finished(self, event: Finished) -> None:
        pass

    def committed(self, event: Committed) -> None:
        pass


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody make way for others because the machine is slow."""
    monkeypatch.setattr(reader, "MAX_UNBROKEN_S", 1e9)
    monkeypatch.setattr(pool, "BREATH_S", 1e9)


def filled() -> MemoryBroker:
    broker = MemoryBroker({"orders": 3, "topic": 3, "requests": 3})
    for number in range(COUNT):
        broker.produce("orders", b'{"a": 1}', partition=number % 3, key=b"%d" % (number % 100))
    return broker


async def read(hooks: Sequence[Hook]) -> Work:
    connect = filled().connect("group", auto_offset_reset="earliest")
    async with KafkaListener([SPEC], transport=connect, hooks=hooks) as listener:
        stream, seen = await listener.subscribe(dict), 0
        with counted() as work:
            async for _ in stream:
                seen += 1
                if seen == COUNT:
                    break
    return work


async def process(hooks: Sequence[Hook]) -> Work:
    connect, seen, ended = filled().connect("group", auto_offset_reset="earliest"), 0, anyio.Event()

    async def handle(value: object, delivery: Delivery[object]) -> None:
        nonlocal seen
        seen += 1
        if seen == COUNT:
            ended.set()

    async with (
        KafkaListener([SPEC], transport=connect, hooks=hooks) as listener,
        anyio.create_task_group() as tasks,
    ):
        with counted() as work:
            tasks.start_soon(listener.process, dict, handle)
            await ended.wait()
        tasks.cancel_scope.cancel()
    return work


async def send(hooks: Sequence[Hook]) -> Work:
    connect = filled().connect_producer()
    async with KafkaProducer(transport=connect, hooks=hooks) as producer:
        await producer.send("topic", b"first")
        with counted() as work:
            for _ in range(COUNT // 100):
                waiting = [await producer.send_soon("topic", b"x") for _ in range(100)]
                for each in waiting:
                    await each.sent()
    return work


async def call(hooks: Sequence[Hook]) -> Work:
    broker = filled()
    server = KafkaRPCServer(
        transport=Transport(broker.connect("group"), broker.connect_producer()), hooks=hooks
    )

    @server.handler("requests")
    async def answer(value: bytes, call: Call) -> bytes:
        return value

    transport = Transport(broker.connect(""), broker.connect_producer())
    async with server, KafkaRPC(transport=transport, hooks=hooks) as rpc:
        await rpc.request("requests", b"first")

        async def some() -> None:
            for _ in range(COUNT // 100):
                await rpc.request("requests", b"x")

        with counted() as work:
            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(some)
    return work


def prometheus() -> list[Hook]:
    return [Prometheus(CollectorRegistry())]


def traces() -> list[Hook]:
    return [OpenTelemetry(TracerProvider(sampler=ALWAYS_OFF))]


TRIES = 4
"""The number of runs, of which that with the fewest turns of the loop counts."""
MARGIN = 2 / 3
"""The calls for each record that do not count: one call more for each record is 1, while turns of
the loop, whose number is a matter of chance on trio, make up to a third."""

plain: dict[tuple[Do, str], int] = {}
"""The calls without hooks, for each event loop."""


async def more(do: Do, hooks: Callable[[], list[Hook]], most: float) -> float:
    """Return how many calls for each record the hooks cost; `most` is few enough."""
    key = do, sniffio.current_async_library()
    if key not in plain:
        plain[key] = min([(await do([])).calls for _ in range(TRIES)])
    least = inf
    for _ in range(TRIES):
        least = min(least, ((await do(hooks())).calls - plain[key]) / COUNT)
        if least < most:
            break
    return least


@pytest.mark.parametrize("do", [read, process, send, call])
async def test_hooks_that_override_nothing_cost_nothing(do: Do) -> None:
    assert await more(do, lambda: [Hook(), Hook()], MARGIN) < MARGIN


@pytest.mark.parametrize("do", [read, process])
async def test_hooks_for_batches_cost_hardly_anything(do: Do) -> None:
    assert await more(do, lambda: [Batches()], MARGIN) < MARGIN


@pytest.mark.parametrize(
    ("make", "do", "most"),
    [
        (prometheus, read, 0),
        (prometheus, process, 3),
        (prometheus, call, 10),  # of the client and of the server together
        (traces, read, 2),
        (traces, process, 20),  # the SDK's own are not counted
        (traces, call, 76),
    ],
)
async def test_what_hooks_of_this_package_cost(
    make: Callable[[], list[Hook]], do: Do, most: int
) -> None:
    assert await more(do, make, most + MARGIN) < most + MARGIN
