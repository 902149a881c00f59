"""Several replies to one request: in order, with an end, or an error that says what is wrong."""

import anyio
import pytest

from sdml_kafka import CallTimeout, RemoteError, ReplyInvalid, StreamBroken
from sdml_kafka.transport.interfaces.records import Record
from tests.support.headers import header
from tests.support.server_by_hand import REQUEST, answer_with_stream, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_the_replies_come_in_order_and_then_it_ends() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            answer_with_stream(server, await server.request(), [b"a", b"b", b"c"])

        tasks.start_soon(serve)
        values = [value async for value in rpc.stream(REQUEST, b"", res_expect_type=bytes)]

        assert values == [b"a", b"b", b"c"]
        assert rpc.status().in_flight == 0


async def test_a_stream_without_replies_is_empty() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            answer_with_stream(server, await server.request(), [])

        tasks.start_soon(serve)
        assert [value async for value in rpc.stream(REQUEST, b"")] == []


async def test_repeated_replies_are_dropped_and_swapped_ones_put_in_order() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            request = await server.request()
            answer_with_stream(server, request, [b"b"], first=1, end=False)
            answer_with_stream(server, request, [b"a", b"b", b"c"])

        tasks.start_soon(serve)
        assert [value async for value in rpc.stream(REQUEST, b"")] == [b"a", b"b", b"c"]


async def test_a_missing_reply_breaks_the_stream() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            request = await server.request()
            answer_with_stream(server, request, [b"a"], end=False)
            answer_with_stream(server, request, [b"c"], first=2)

        tasks.start_soon(serve)
        seen: list[bytes] = []
        with pytest.raises(StreamBroken, match="Reply 1 of 3"):
            async for value in rpc.stream(REQUEST, b""):
                seen += [value]
        assert seen == [b"a"]


async def test_an_error_ends_the_stream_after_what_came_before() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            request = await server.request()
            answer_with_stream(server, request, [b"a"], end=False)
            server.reply(
                request,
                b"",
                ("x-sequence", b"1"),
                ("x-end", b"1"),
                ("x-status", b"internal"),
                partition=0,
            )

        tasks.start_soon(serve)
        seen: list[bytes] = []
        with pytest.raises(RemoteError, match="internal"):
            async for value in rpc.stream(REQUEST, b""):
                seen += [value]
        assert seen == [b"a"]


async def test_one_deadline_covers_the_whole_stream() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            request = await server.request()
            for number in range(10):
                answer_with_stream(server, request, [b"x"], first=number, end=False)
                await anyio.sleep(1.0)

        tasks.start_soon(serve)
        began, seen = anyio.current_time(), 0
        text = "^The stream from 'request' did not end within 3.5 s; 4 replies came$"
        with pytest.raises(CallTimeout, match=text):
            async for _ in rpc.stream(REQUEST, b"", res_timeout=3.5):
                seen += 1
        assert (seen, round(anyio.current_time() - began, 1)) == (4, 3.5)


async def test_a_server_that_answers_once_gives_a_stream_of_one() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            server.reply(await server.request(), b"only")

        tasks.start_soon(serve)
        assert [value async for value in rpc.stream(REQUEST, b"")] == [b"only"]


async def test_a_stream_that_ends_without_a_reply_is_no_reply() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            answer_with_stream(server, await server.request(), [])

        tasks.start_soon(serve)
        with pytest.raises(Exception, match=r"use stream"):
            await rpc.request(REQUEST, b"")


async def test_a_call_that_is_answered_with_a_stream_says_so_and_stops_the_server() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:
        cancels: list[Record] = []

        async def serve() -> None:
            request = await server.request()
            partition = b"%d" % request.partition
            server.reply(request, b"a", ("x-sequence", b"0"), ("x-cancel-partition", partition))
            cancels.append(await server.request())

        tasks.start_soon(serve)
        with pytest.raises(ReplyInvalid, match=r"use stream"):
            await rpc.request(REQUEST, b"")
    assert header(cancels[0], "x-cancel") == b"1"
