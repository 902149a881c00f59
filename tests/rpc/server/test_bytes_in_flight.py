"""The requests that were fetched and have not finished are bounded in bytes."""

import gc
import weakref
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, KafkaRPCServer
from tests.support.client_by_hand import (
    P0,
    REQUEST,
    ask,
    finished,
    new_broker,
    outcomes,
    replies,
    server_on,
    serving,
)
from tests.support.listener_on_twin import Gate
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]

SIZE = 1000
HEADERS = len("x-reply-topic" + "reply" + "request_id" + "1")
VALUE = bytes(SIZE - HEADERS)


def bytes_of(server: KafkaRPCServer) -> int:
    status = server.status()
    assert status.bytes_in_flight == sum(p.bytes_in_flight for p in status.partitions.values())
    return status.bytes_in_flight


@pytest.mark.parametrize("bound", [1, 50_000])
async def test_what_was_fetched_is_bounded(bound: int) -> None:
    broker, most = new_broker(), 0

    async def handle(value: bytes, call: Call) -> bytes:
        nonlocal most
        most = max(most, bytes_of(server))
        await anyio.sleep(0.1)
        return b""

    for _ in range(500):
        ask(broker, VALUE)
    async with serving(broker, handle, concurrency=10, max_bytes_in_flight=bound) as server:
        began = anyio.current_time()
        await replies(broker, 500)
        await finished(broker, server, 500)
        assert bytes_of(server) == 0
        at_once = min(10, max(1, bound // SIZE))
        assert anyio.current_time() - began < 1.3 * 0.1 * 500 / at_once
    assert min(bound, 10 * SIZE) / 2 <= most <= max(bound, SIZE)


async def test_a_request_larger_than_the_bound_passes() -> None:
    broker = new_broker()
    for size in (10, 100_000, 10, 100_000):
        ask(broker, bytes(size))

    async def length(value: bytes, call: Call) -> bytes:
        return b"%d" % len(value)

    async with serving(broker, length, max_bytes_in_flight=5000):
        began = anyio.current_time()
        assert sorted(await outcomes(broker, 4)) == [b"10", b"10", b"100000", b"100000"]
        assert anyio.current_time() - began < 0.4  # no poll had to wait until it timed out


async def test_a_slow_handler_holds_back_only_the_partitions_that_feed_it() -> None:
    broker, gate = new_broker(other=1), Gate()

    async def wait(value: bytes, call: Call) -> bytes:
        await gate(value)
        return value

    async def echo(value: bytes, call: Call) -> bytes:
        return value

    server = server_on(broker, max_bytes_in_flight=20_000)
    server.handler(REQUEST, concurrency=1)(wait)
    server.handler("other")(echo)
    for _ in range(200):
        ask(broker, VALUE)
        ask(broker, VALUE, topic="other")
    async with server:
        began = anyio.current_time()
        await replies(broker, 200)
        assert anyio.current_time() - began < 0.4  # no poll had to wait until it timed out
        assert len(gate.arrived) == 1
        assert 10_000 <= bytes_of(server) <= 20_000
        gate.open()
        await until(lambda: len(gate.arrived) == 200)


async def test_a_request_of_a_slice_that_is_slow_keeps_the_others_not_counted() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        if value.startswith(b"slow"):
            await anyio.sleep(1000)
        return b""

    for number in range(500):
        ask(broker, (b"slow" if number % 25 == 0 else b"").ljust(len(VALUE)))
    async with serving(broker, handle, max_bytes_in_flight=100_000, drain_timeout=0.0) as server:
        began = anyio.current_time()
        await replies(broker, 480)
        assert anyio.current_time() - began < 10
        await until(lambda: bytes_of(server) == 20 * SIZE)


async def test_requests_that_were_answered_are_not_kept() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        return b""

    async with serving(broker, handle) as server:
        ask(broker, VALUE)
        await replies(broker, 1)
        await finished(broker, server, 1)
        assert [len(lane.calls) for lane in server._actors.queue._lanes.values()] == [0]
        assert server.status().partitions[P0].bytes_in_flight == 0


class Value(str):
    """A text that can be watched."""

    __slots__ = ("__weakref__",)


async def test_no_request_waits_for_the_garbage_collector() -> None:
    """On trio a sleep ends by an exception, whose traceback holds the frames of the handler."""
    broker, watched = new_broker(), list[weakref.ref[Any]]()

    async def handle(value: Value, call: Call) -> bytes:
        watched.append(weakref.ref(value))
        await anyio.sleep(1)
        return b""

    gc.collect()
    gc.disable()
    try:
        async with serving(
            broker, handle, parser=lambda record: Value(record.value.decode())
        ) as server:
            for _ in range(3):
                ask(broker)
            await replies(broker, 3)
            await finished(broker, server, 3)
            assert [ref() for ref in watched] == [None] * 3
    finally:
        gc.enable()
