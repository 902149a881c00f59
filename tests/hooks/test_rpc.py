"""What hooks see of calls, of requests and of their replies."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, Hook, KafkaRPC, KafkaRPCServer, Outgoing, RemoteError, SendFailed
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.client_by_hand import ask, echo, new_broker, replies, reply, serving
from tests.support.seeing_hook import CURRENT, SeeingHook
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

SEEN: list[str] = []


@asynccontextmanager
async def calling(
    broker: MemoryBroker, client: SeeingHook, server: SeeingHook
) -> AsyncGenerator[KafkaRPC]:
    """Enter a server and a client."""
    serving = KafkaRPCServer(
        transport=Transport(broker.connect("servers"), broker.connect_producer()), hooks=[server]
    )

    @serving.handler("requests")
    async def answer(value: bytes, call: Call) -> bytes:
        SEEN.append(CURRENT.get())
        if value == b"slow":
            await anyio.sleep(100)
        if value == b"bad":
            raise RemoteError("no_stock", "none left")
        return value

    @serving.handler("streams")
    async def stream(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        for number in range(2):
            yield b"%d" % number

    transport = Transport(broker.connect(""), broker.connect_producer())
    async with serving, KafkaRPC(transport=transport, hooks=[client]) as rpc:
        yield rpc


def broker_of() -> MemoryBroker:
    SEEN.clear()
    return MemoryBroker({"requests": 1, "streams": 1})


async def test_a_call_and_its_request() -> None:
    client, server = SeeingHook(), SeeingHook()
    async with calling(broker_of(), client, server) as rpc:
        assert await rpc.request("requests", b"x", res_timeout=5.0) == b"x"
        await until(lambda: len(client.outcomes) == len(server.outcomes) == 1)
    (begun,), (settled,) = client.of("call_begun"), client.of("call_settled")
    assert begun.call_id == settled.call_id
    assert (begun.topic, begun.method, begun.timeout_s) == ("requests", "request", 5.0)
    assert (settled.outcome, settled.error, settled.method) == ("ok", None, "request")
    assert 0 <= settled.seconds < 5
    ((request, _),) = client.sent
    assert (request.purpose, request.call_id) == ("request", begun.call_id)
    assert client.outcomes == [(request, None)]
    assert (request.partition, request.offset) == (0, 0)
    ((handling, error),) = server.handlings
    assert error is None
    assert handling.call_id == begun.call_id
    assert ("seen", b"1") in handling.records[0].headers
    assert [f"{handling.handler} 1"] == SEEN
    (handled,) = server.of("request_handled")
    assert (handled.topic, handled.handler, handled.status) == ("requests", handling.handler, "ok")
    ((reply, _),) = server.sent
    assert (reply.purpose, reply.call_id) == ("reply", begun.call_id)
    assert reply.handling is handling
    assert server.outcomes == [(reply, None)]
    assert [event.to for event in server.of("delivered")] == [(handling.handler,)]
    assert sum(event.count for event in server.of("finished")) == 1
    assert server.of("committed")[-1].origin.group_id == "servers"


async def test_an_error_of_a_handler() -> None:
    client, server = SeeingHook(), SeeingHook()
    async with calling(broker_of(), client, server) as rpc:
        with pytest.raises(RemoteError):
            await rpc.request("requests", b"bad", res_timeout=5.0)
    (settled,) = client.of("call_settled")
    assert (settled.outcome, settled.error.status) == ("RemoteError", "no_stock")
    ((_, error),) = server.handlings
    assert isinstance(error, RemoteError)
    assert server.of("request_handled")[0].status == "no_stock"


async def test_a_call_that_times_out_and_one_that_is_cancelled() -> None:
    client, server = SeeingHook(), SeeingHook()
    async with calling(broker_of(), client, server) as rpc:
        with pytest.raises(TimeoutError):
            await rpc.request("requests", b"slow", res_timeout=1.0)
        with anyio.move_on_after(0.5):
            await rpc.request("requests", b"slow", res_timeout=5.0)
        await until(lambda: len(server.of("request_handled")) == 2, 60.0)
    late, cancelled = [event.outcome for event in client.of("call_settled")]
    assert late in ("CallTimeout", "RemoteTimeout")  # whoever of the two is first
    assert cancelled == "cancelled"
    assert client.of("call_settled")[0].seconds >= 1.0
    assert server.of("request_handled")[0].status == "deadline_exceeded"


async def test_calls_without_a_deadline_take_as_long_as_they_do() -> None:
    client = SeeingHook()
    async with calling(broker_of(), client, SeeingHook()) as rpc:
        assert await rpc.request("requests", b"slow", res_timeout=None) == b"slow"
        assert len([each async for each in rpc.stream("streams", b"", res_timeout=None)]) == 2
        await rpc.notify("requests", b"n", res_timeout=None)
    assert [event.timeout_s for event in client.of("call_begun")] == [inf] * 3
    slow, *quick = [event.seconds for event in client.of("call_settled")]
    assert slow == pytest.approx(100, abs=1)
    assert all(0 <= seconds < 5 for seconds in quick)


async def test_a_stream_and_a_notification() -> None:
    client, server = SeeingHook(), SeeingHook()
    async with calling(broker_of(), client, server) as rpc:
        assert [each async for each in rpc.stream("streams", b"")] == [b"0", b"1"]
        await rpc.notify("requests", b"n")
        await until(lambda: len(server.handlings) == 2)
    assert [event.method for event in client.of("call_settled")] == ["stream", "notify"]
    assert [event.outcome for event in client.of("call_settled")] == ["ok", "ok"]
    assert [message.purpose for message, _ in client.sent] == ["request", "notification"]
    assert [message.purpose for message, _ in server.sent] == ["reply"] * 3
    assert all(error is None for _, error in (*client.outcomes, *server.outcomes))


async def test_a_client_that_is_left_settles_its_calls() -> None:
    client, server = SeeingHook(), SeeingHook()
    failures: list[Any] = []
    async with calling(broker_of(), client, server) as rpc, anyio.create_task_group() as tasks:

        async def call() -> None:
            try:
                await rpc.request("requests", b"slow", res_timeout=50.0)
            except Exception as error:
                failures.append(error)

        tasks.start_soon(call)
        await until(lambda: len(server.begun) == 1)
        rpc._actors.settle_calls()
    assert [event.outcome for event in client.of("call_settled")] == ["ClientClosed"]
    assert len(failures) == 1


class Adding(Hook):
    """Adds a header to each message, and asks for no outcome."""

    def sending(self, message: Outgoing) -> None:
        message.add_header("tenant", b"blue")


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_reply_that_is_sent_again_has_the_headers_of_hooks_once(is_stream: bool) -> None:
    async def stream(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield value

    broker = new_broker()
    async with serving(broker, stream if is_stream else echo, hooks=[Adding()]):
        broker.fail_sends(SendFailed("away"), times=2)
        ask(broker)
        records = await replies(broker, 2 if is_stream else 1)
    names = [[name for name, _ in record.headers].count("tenant") for record in records]
    assert names == [1] * len(records)


async def test_an_error_in_place_of_a_reply_has_them_too() -> None:
    async def large(value: bytes, call: Call) -> bytes:
        return b"x" * (2 << 20)

    broker = new_broker()
    async with serving(broker, large, hooks=[Adding()]):
        ask(broker)
        record = await reply(broker)
    assert [name for name, _ in record.headers].count("tenant") == 1
