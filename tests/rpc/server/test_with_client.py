"""A server and a client of this package together, on the in-memory twin."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, KafkaRPC, RemoteError
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.client_by_hand import REQUEST, new_broker, server_on, serving
from tests.support.server_by_hand import client_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


def client(broker: MemoryBroker, **options: Any) -> KafkaRPC:
    return client_on(broker, **options)


async def test_many_calls_each_get_their_own_reply() -> None:
    broker = new_broker(4)

    async def handle(value: bytes, call: Call) -> bytes:
        await anyio.sleep(int(value) % 7)
        return b"re: " + value

    answers: dict[int, bytes] = {}

    async def ask(rpc: KafkaRPC, number: int) -> None:
        answers[number] = await rpc.request(REQUEST, b"%d" % number, res_expect_type=bytes)

    async with serving(broker, handle), client(broker) as rpc, anyio.create_task_group() as tasks:
        for number in range(300):
            tasks.start_soon(ask, rpc, number)
    assert answers == {number: b"re: %d" % number for number in range(300)}


async def test_an_error_arrives_with_its_status() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        raise RemoteError("teapot", "short and stout")

    async with serving(broker, handle), client(broker) as rpc:
        with pytest.raises(RemoteError, match="short and stout") as caught:
            await rpc.request(REQUEST, b"")
        assert caught.value.status == "teapot"


async def test_the_error_of_a_call_that_a_handler_made_is_not_the_callers() -> None:
    broker = new_broker()
    failure: list[RemoteError] = []

    async def handle(value: bytes, call: Call) -> bytes:
        if value == b"inner":
            raise RemoteError("not_found", "row 7 of a table that nobody shall know")
        try:
            await rpc.request(REQUEST, b"inner")
        except RemoteError as error:
            failure.append(error)
            raise
        return b""

    async with serving(broker, handle), client(broker) as rpc:
        with pytest.raises(RemoteError) as caught:
            await rpc.request(REQUEST, b"outer")
    assert (failure[0].status, failure[0].received) == ("not_found", True)
    assert (caught.value.status, caught.value.text) == ("internal", "")


async def test_a_stream_that_is_closed_early_stops_the_generator() -> None:
    broker, closed = new_broker(), anyio.Event()

    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        try:
            for number in range(10_000):
                yield b"%d" % number
                await anyio.sleep(0.1)
        finally:
            closed.set()

    async with serving(broker, handle) as server, client(broker) as rpc:
        async with rpc.stream(REQUEST, b"", res_expect_type=bytes) as stream:
            seen = [await anext(stream) for _ in range(3)]
        assert seen == [b"0", b"1", b"2"]
        with anyio.fail_after(5):
            await closed.wait()
        await until(lambda: server.status().in_flight == 0)
        assert server.status().counters.cancelled == 1


async def test_a_stream_to_its_end() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        for number in range(300):
            yield b"%d" % number

    async with serving(broker, handle), client(broker) as rpc:
        stream = rpc.stream(REQUEST, b"", res_expect_type=bytes)
        assert [item async for item in stream] == [b"%d" % number for number in range(300)]


async def test_the_budget_travels() -> None:
    """The handler's own call has 30 s, but only what is left of its caller's 2 s."""
    broker = new_broker(inner=1)
    budgets: list[float | None] = []
    server = server_on(broker)
    inner_client = client(broker, group="inner-client")

    @server.handler(REQUEST)
    async def outer(value: bytes, call: Call) -> bytes:
        await anyio.sleep(0.5)
        return await inner_client.request("inner", value, res_expect_type=bytes)

    @server.handler("inner")
    async def inner(value: bytes, call: Call) -> bytes:
        budgets.append(call.remaining_s)
        return value

    async with inner_client, server, client(broker) as rpc:
        assert await rpc.request(REQUEST, b"x", res_timeout=2.0, res_expect_type=bytes) == b"x"
    (budget,) = budgets
    assert budget == pytest.approx(1.5, abs=0.1)
