"""A handler that blocks the event loop is named as the reason why nothing goes on."""

import time

import anyio
import pytest

from sdml_kafka import KafkaRPCServer
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.state import loop_time
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.client_by_hand import ask, new_broker
from tests.support.listener_on_twin import broker_with, listener_on, take_last
from tests.support.log_lines import Lines, lines_of
from tests.support.virtual_time import in_virtual_time, stand_still
from tests.support.waiting import least_of, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SESSION_S = 1.6
BLOCK_S = 1.5


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return lines_of(caplog)


def block() -> None:
    time.sleep(BLOCK_S)


def server_on(broker: MemoryBroker) -> KafkaRPCServer:
    connect = broker.connect("group", auto_offset_reset="earliest", session_timeout_s=SESSION_S)
    return KafkaRPCServer(transport=Transport(connect, broker.connect_producer()), clock=loop_time)


def warnings(lines: Lines) -> list[str]:
    return [line for line in lines() if "the event loop stood still" in line]


@in_virtual_time
async def test_a_loop_that_blocks_is_named_once(lines: Lines) -> None:
    async with listener_on(broker_with(*"abc"), session_timeout_s=SESSION_S) as listener:
        stream = await listener.subscribe(str)
        for _ in range(3):
            await take_last(stream, 1)
            stand_still(BLOCK_S)
            await anyio.sleep(0.6)
        assert len(warnings(lines)) == 1
    first, rest = warnings(lines)
    assert first.startswith("WARNING the event loop stood still for at least 1.")
    assert ", once: meanwhile nothing is read, committed or handed over" in first
    assert "After 1.6 s of that the group takes the partitions away" in first
    assert "anyio.to_thread.run_sync" in first
    assert "(1 more like this since the last line)" in rest


@pytest.mark.uvloop_too
async def test_a_handler_that_blocks_is_named(lines: Lines) -> None:
    broker = new_broker()
    server = server_on(broker)

    @server.handler("request")
    async def handle(value: bytes, call: object) -> bytes:
        block()
        return b""

    async with server:
        ask(broker)
        await until(lambda: warnings(lines))


@pytest.mark.uvloop_too
async def test_a_plain_handler_that_blocks_its_thread_is_not(lines: Lines) -> None:
    async def look() -> int:
        before, broker = len(warnings(lines)), new_broker()
        server = server_on(broker)

        @server.handler("request")
        def handle(value: bytes, call: object) -> bytes:
            block()
            return b""

        async with server:
            ask(broker)
            await until(lambda: server.status().counters.replies == 1)
        return len(warnings(lines)) - before

    assert await least_of(look, 1) == 0


@pytest.mark.uvloop_too
async def test_work_in_a_thread_is_not(lines: Lines) -> None:
    async def look() -> int:
        before = len(warnings(lines))
        async with listener_on(broker_with("a"), session_timeout_s=SESSION_S) as listener:
            await take_last(await listener.subscribe(str), 1)
            await anyio.to_thread.run_sync(block)
            await anyio.sleep(0.6)
        return len(warnings(lines)) - before

    assert await least_of(look, 1) == 0
