"""Each reply finds its caller, by id or key, and what is nobody's reply is counted and dropped."""

import json
from typing import Any

import pytest

from sdml_kafka import CallIdInUse, CallTimeout
from tests.support.headers import header
from tests.support.server_by_hand import JSON, REPLY, REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_a_call_returns_its_reply() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(b"hello", res_expect_type=bytes)
        request = await server.request()

        assert request.value == b"hello"
        assert header(request, "x-reply-topic") == REPLY.encode()
        assert header(request, "x-timeout-ms") == b"30000"
        assert request.key == header(request, "request_id")
        server.reply(request, b"world")
        assert await call.get() == b"world"
        assert rpc.status().in_flight == 0


async def test_a_hundred_calls_with_one_key_get_their_own_replies() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        calls = [tasks.call(b"%d" % number, req_key=b"key") for number in range(100)]
        requests = await server.requests(100)
        assert {request.key for request in requests} == {b"key"}
        for request in reversed(requests):
            server.reply(request, b"re " + (request.value or b""), key=request.key)

        assert [await call.get() for call in calls] == [b"re %d" % n for n in range(100)]


async def test_a_server_that_echoes_only_the_key_is_understood() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        by_id, by_own_key = tasks.call(b"id"), tasks.call(b"own", req_key="own")
        for request in await server.requests(2):
            server.reply(request, request.value or b"", headers=[], key=request.key)

        assert await by_id.get() == b"id"
        assert await by_own_key.get() == b"own"


async def test_a_key_that_several_calls_share_says_nothing() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        calls = [tasks.call(b"%d" % n, req_key="shared", res_timeout=5.0) for n in range(2)]
        for request in await server.requests(2):
            server.reply(request, b"?", headers=[], key=request.key)

        for call in calls:
            with pytest.raises(CallTimeout):
                await call.get()
        assert rpc.status().counters.ambiguous_replies == 2


async def test_unknown_late_and_second_replies_are_counted_and_dropped() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        server.reply(request, b"foreign", headers=[("request_id", b"nobody")])
        server.reply(request, b"not utf-8", headers=[("request_id", b"\xff\xfe")])
        server.reply(request, b"no id at all", headers=[])
        server.reply(request, b"first", partition=0)
        server.reply(request, b"second", partition=0)
        assert await call.get() == b"first"
        again = tasks.call()
        server.reply(await server.request(), b"last", partition=0)
        assert await again.get() == b"last"

        counters = rpc.status().counters
        assert (counters.foreign_replies, counters.late_replies, counters.replies) == (3, 1, 2)


async def test_a_foreign_id_beside_our_key_is_not_ours() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(res_timeout=5.0)
        request = await server.request()
        server.reply(request, headers=[("request_id", b"other")], key=request.key)

        with pytest.raises(CallTimeout):
            await call.get()


@pytest.mark.parametrize("name", ["request_id", "correlation_id", "X-Correlation-ID"])
async def test_the_id_is_read_from_any_of_the_usual_headers(name: str) -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        server.reply(request, headers=[(name, header(request, "request_id") or b"")])

        assert await call.get() == b"reply"


async def test_a_header_of_the_callers_choice_carries_the_id_both_ways() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(
            correlation_header_key="x-own-id", correlation_id="order-7", propagate_corr_to="header"
        )
        request = await server.request()

        assert request.key is None
        assert header(request, "x-own-id") == b"order-7"
        assert header(request, "request_id") is None
        server.reply(request)
        assert await call.get() == b"reply"


async def test_the_id_may_travel_as_the_key_alone() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(propagate_corr_to="key", correlation_id=b"\xff7")
        request = await server.request()

        assert request.key == b"\xff7"
        assert header(request, "request_id") is None
        server.reply(request, headers=[], key=request.key)
        assert await call.get() == b"reply"


async def test_the_id_may_come_from_the_whole_record() -> None:
    broker = new_broker()

    def from_value(record: Any) -> str:
        return str(json.loads(record.value)["call"])

    async with (
        client_on(broker, parsers=[JSON], correlation_from_record=from_value) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        call = tasks.call(correlation_id="seven")
        request = await server.request()
        server.reply(request, b"not json at all", headers=[])
        server.reply(request, b'{"call": "seven"}', headers=[])

        assert await call.get() == {"call": "seven"}


async def test_an_id_in_use_is_refused_and_free_again_afterwards() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(correlation_id="one")
        request = await server.request()
        with pytest.raises(CallIdInUse):
            await rpc.request(REQUEST, b"", correlation_id="one")
        server.reply(request)
        assert await call.get() == b"reply"
        again = tasks.call(correlation_id="one")
        server.reply(await server.request(), b"again")
        assert await again.get() == b"again"
