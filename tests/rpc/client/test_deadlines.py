"""A call ends at its deadline: start, outages and a handler's own deadline count against it."""

from typing import Any

import anyio
import pytest

from sdml_kafka import CallTimeout, RemoteError
from sdml_kafka.rpc.deadline import DEADLINE
from tests.support.headers import header
from tests.support.server_by_hand import REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_a_deadline_that_the_server_noticed_first_is_a_time_out_too() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        server.reply(await server.request(), b"", ("x-status", b"deadline_exceeded"))

        with pytest.raises(TimeoutError, match="deadline_exceeded") as caught:
            await call.get()
        assert isinstance(caught.value, RemoteError)
        assert caught.value.status == "deadline_exceeded"


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "5"])
async def test_a_time_out_that_is_none_is_refused(seconds: Any) -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(ValueError, match="res_timeout"):
            await rpc.request(REQUEST, b"", res_timeout=seconds)


async def test_a_call_ends_at_its_deadline() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        began = anyio.current_time()
        calls = [tasks.call(res_timeout=seconds) for seconds in (3.0, 1.0, 2.0)]
        for call in calls:
            with pytest.raises(TimeoutError, match="server running") as caught:
                await call.get()
            assert caught.value.__cause__ is None
        assert 3.0 <= anyio.current_time() - began < 3.1
        server.reply(await server.request(), b"too late")
        await anyio.sleep(1.0)
        status = rpc.status()
        assert status.counters.timeouts == 3
        assert (status.in_flight, status.counters.late_replies) == (0, 1)


async def test_a_long_time_out_is_shown_in_full() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        for seconds, shown in ((3600.0, "3600 s"), (0.25, "0.25 s"), (999.7, "1000 s")):
            with pytest.raises(CallTimeout, match=f"^No reply from 'request' within {shown}\\. Is"):
                await rpc.request(REQUEST, b"", res_timeout=seconds)


async def test_a_call_without_a_deadline_waits() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(res_timeout=None)
        request = await server.request()
        assert header(request, "x-timeout-ms") is None
        await anyio.sleep(3_600)
        server.reply(request)
        assert await call.get() == b"reply"


async def test_a_time_out_in_an_outage_names_it() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, callers(rpc) as tasks:
        broker.down()
        await anyio.sleep(2.0)
        call = tasks.call(res_timeout=5.0)
        with pytest.raises(CallTimeout) as caught:
            await call.get()
        assert isinstance(caught.value.__cause__, ConnectionError)


async def test_a_call_in_an_outage_goes_through_when_it_is_over() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        await server.join()
        broker.down()
        call = tasks.call(res_timeout=30.0)
        await anyio.sleep(5.0)
        broker.up()
        server.reply(await server.request())
        assert await call.get() == b"reply"


async def test_a_handlers_calls_inherit_its_deadline() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server:
        began = anyio.current_time()
        token = DEADLINE.set(began + 2.0)
        try:
            with pytest.raises(CallTimeout):
                await rpc.request(REQUEST, b"", res_timeout=30.0)
            assert 2.0 <= anyio.current_time() - began < 2.1
            assert header(await server.request(), "x-timeout-ms") == b"2000"
            with pytest.raises(CallTimeout, match="deadline of the handler"):
                await rpc.request(REQUEST, b"")
        finally:
            DEADLINE.reset(token)
