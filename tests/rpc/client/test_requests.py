"""What a request carries, and what cannot be asked."""

from typing import Any

import pytest

from sdml_kafka import ConfigurationError, UnknownType
from tests.support.headers import header
from tests.support.server_by_hand import REPLY, REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"propagate_corr_to": "key", "req_key": b"k"}, "leave req_key out"),
        ({"propagate_corr_to": "headers"}, "'both', 'header' or 'key'"),
        ({"correlation_header_key": ""}, "correlation_header_key"),
        ({"correlation_id": ""}, "correlation_id"),
        ({"correlation_id": b"x" * 2000}, "correlation_id"),
        ({"correlation_header_key": "x-status"}, "x-status"),
        ({"req_headers_reply_to": ["elsewhere"]}, "none of these"),
        ({"req_headers": {"X-Reply-Topic": "elsewhere"}}, "none of these"),
        ({"req_headers": {"Request_ID": "5"}}, "pass it as correlation_id"),
        ({"req_headers": {"x-cancel": "1"}}, "protocol"),
        ({"req_headers": [("a", 1)]}, "bytes or a text"),
        ({"req_headers": 7}, "mapping"),
        ({"req_key": 7}, "req_key"),
        ({"req_key": "\udcff"}, "req_key cannot be encoded"),
        ({"correlation_id": "\ud800"}, "correlation_id cannot be encoded"),
        ({"req_headers": {"a": "\ud800"}}, "header 'a' cannot be encoded"),
    ],
)
async def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    options: Any, text: str
) -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(ConfigurationError, match=text):
            await rpc.request(REQUEST, b"", **options)
        with pytest.raises(ConfigurationError, match="encode it"):
            await rpc.request(REQUEST, "text")  # type: ignore[call-overload]
        assert rpc.status().counters.calls == 0


async def test_a_request_to_a_reply_topic_of_the_client_is_refused() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(ConfigurationError, match="its own request"):
            await rpc.request(REPLY, b"")


async def test_a_type_that_no_parser_yields_is_refused_before_anything_is_sent() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(UnknownType, match=r"int.*yield: bytes"):
            await rpc.request(REQUEST, b"", res_expect_type=int)
        assert rpc.status().counters.calls == 0


async def test_the_callers_headers_travel_and_may_name_the_reply_topic() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(req_headers={"a": "b", "x-reply-topic": REPLY})
        request = await server.request()
        assert header(request, "a") == b"b"
        assert [name for name, _ in request.headers].count("x-reply-topic") == 1
        server.reply(request)
        assert await call.get() == b"reply"


async def test_several_reply_topics_may_be_asked_for() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(req_headers_reply_to=[REPLY, "audit"])
        request = await server.request()
        topics = [value for name, value in request.headers if name == "x-reply-topic"]
        assert topics == [REPLY.encode(), b"audit"]
        server.reply(request)
        assert await call.get() == b"reply"
