"""Calls on the twin need no clock of their own, also in the virtual time that the docs show."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    CallTimeout,
    KafkaRPC,
    KafkaRPCServer,
    ParserSpec,
    RemoteTimeout,
    TopicPartition,
    parse_text,
)
from sdml_kafka.testing import MemoryBroker, Transport
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
HOUR_S = 3600.0
REQUESTS, REPLIES = TopicPartition("request", 0), TopicPartition("reply", 0)


def backends_of_the_page() -> Iterator[Any]:
    """Yield what the fixtures `anyio_backend` on the page return for virtual time."""
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        if "anyio_backend" in block:
            scope = dict[str, Any]()
            exec(block.replace("@pytest.fixture\n", ""), scope)
            backend = scope["anyio_backend"]()
            if not isinstance(backend, str):  # which is a backend as it comes
                yield pytest.param(backend, id=backend[0])


as_documented = pytest.mark.parametrize("anyio_backend", [*backends_of_the_page()])


def transport_on(broker: MemoryBroker, group: str) -> Transport:
    connect = broker.connect(group, auto_offset_reset="earliest")
    return Transport(connect, broker.connect_producer())


def client_on(broker: MemoryBroker) -> KafkaRPC:
    parsers: list[ParserSpec[str]] = [{"topics": ["reply"], "type": str, "parser": parse_text}]
    return KafkaRPC(parsers, transport=transport_on(broker, "client"))


def server_on(broker: MemoryBroker, **options: Any) -> KafkaRPCServer:
    server = KafkaRPCServer(transport=transport_on(broker, "server"), **options)

    @server.handler("request", parser=parse_text)
    async def shout(text: str, call: object) -> bytes:
        return text.upper().encode()

    return server


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"request": 1, "reply": 1})


async def test_a_call_with_a_deadline_is_answered(broker: MemoryBroker) -> None:
    async with server_on(broker, max_age_s=5.0), client_on(broker) as rpc:
        assert await rpc.request("request", b"hi", res_timeout=30.0) == "HI"


async def test_a_record_carries_the_wall_time(broker: MemoryBroker) -> None:
    before_s = time.time()
    await anyio.sleep(0.01)
    timestamp_s = broker.produce("request", b"hi").timestamp / 1000
    assert before_s - 1 < timestamp_s < time.time() + 1


def test_a_record_of_a_program_without_a_loop_carries_the_wall_time(broker: MemoryBroker) -> None:
    assert abs(broker.produce("request", b"hi").timestamp / 1000 - time.time()) < 1


async def test_a_server_has_the_clock_of_its_broker() -> None:
    broker = MemoryBroker({"request": 1, "reply": 1}, clock=lambda: 12.5)
    async with client_on(broker) as rpc, anyio.create_task_group() as tasks:
        tasks.start_soon(expect_reply, rpc)
        await until(lambda: broker.records(REQUESTS))
        async with server_on(broker, max_age_s=5.0) as server:
            await until(lambda: server.status().counters.replies == 1)


async def test_a_server_may_have_a_clock_of_its_own() -> None:
    broker = MemoryBroker({"request": 1, "reply": 1})
    async with client_on(broker) as rpc, anyio.create_task_group() as tasks:
        tasks.start_soon(expect_too_late, rpc)
        await until(lambda: broker.records(REQUESTS))
        async with server_on(broker, clock=lambda: time.time() + HOUR_S) as server:
            await until(lambda: server.status().counters.expired == 1)


async def expect_reply(rpc: KafkaRPC) -> None:
    assert await rpc.request("request", b"hi", res_timeout=30.0) == "HI"


async def expect_too_late(rpc: KafkaRPC) -> None:
    with pytest.raises(RemoteTimeout):
        await rpc.request("request", b"hi", res_timeout=30.0)


@as_documented
async def test_a_timeout_takes_no_time(broker: MemoryBroker) -> None:
    began_s, began = time.monotonic(), anyio.current_time()
    async with client_on(broker) as rpc:
        with pytest.raises(CallTimeout):
            await rpc.request("request", b"hi", res_timeout=HOUR_S)
    assert anyio.current_time() - began >= HOUR_S
    assert time.monotonic() - began_s < 60.0


@as_documented
async def test_calls_are_answered_in_virtual_time(broker: MemoryBroker) -> None:
    async with server_on(broker, max_age_s=5.0), client_on(broker) as rpc:
        for _ in range(3):
            assert await rpc.request("request", b"hi", res_timeout=0.5) == "HI"
            await anyio.sleep(HOUR_S / 10)


@as_documented
async def test_what_waited_in_virtual_time_is_old(broker: MemoryBroker) -> None:
    broker.produce("request", b"old", headers=[("x-reply-topic", b"reply")])
    await anyio.sleep(HOUR_S)
    broker.produce("request", b"young", headers=[("x-reply-topic", b"reply")])
    async with server_on(broker, max_age_s=HOUR_S / 2) as server:
        await until(lambda: len(broker.records(REPLIES)) == 2)
        assert server.status().counters.expired == 1


@as_documented
async def test_a_deadline_passes_in_virtual_time_before_there_is_a_server(
    broker: MemoryBroker,
) -> None:
    async with client_on(broker) as rpc, anyio.create_task_group() as tasks:
        tasks.start_soon(expect_reply, rpc)
        await until(lambda: broker.records(REQUESTS))
        await anyio.sleep(29.0)
        async with server_on(broker) as server:
            await until(lambda: server.status().counters.replies == 1)
