"""Calls that end without a reply: with the server's error, cancelled, or as the client is left."""

import anyio
import pytest

from sdml_kafka import ClientClosed, RemoteError
from tests.support.server_by_hand import REQUEST, Callers, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_an_error_reply_is_raised_with_its_status() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call, odd = tasks.call(b"a"), tasks.call(b"b")
        for request in await server.requests(2):
            status = b"not_found" if request.value == b"a" else b"\xff \n"
            server.reply(request, b"", ("x-status", status), ("x-error", b"no order 7\xff\x1b\n"))

        with pytest.raises(RemoteError) as caught:
            await call.get()
        assert (caught.value.status, caught.value.text) == (
            "not_found",
            "no order 7\ufffd\x1b\n",
        )
        assert str(caught.value) == "not_found: no order 7\ufffd\\x1b\\n"
        with pytest.raises(RemoteError, match="unknown"):
            await odd.get()


async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        call.scope.cancel()
        await call.ended.wait()
        assert rpc.status().in_flight == 0
        server.reply(request)
        other = tasks.call()
        server.reply(await server.request(), b"other")
        assert await other.get() == b"other"


async def test_leaving_settles_a_thousand_waiting_calls() -> None:
    broker = new_broker()
    async with anyio.create_task_group() as outer, hand(broker) as server:
        async with client_on(broker) as rpc:
            tasks = Callers(rpc, outer)
            outcomes = [tasks.call() for _ in range(1000)]
            await server.requests(1000)
        for outcome in outcomes:
            with pytest.raises(ClientClosed, match="was left"):
                await outcome.get()
        assert rpc.status().in_flight == 0
        with pytest.raises(ClientClosed):
            await rpc.request(REQUEST, b"")
