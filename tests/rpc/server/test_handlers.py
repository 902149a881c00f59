"""What a handler is called with, and what may be a handler."""

from typing import Any

import anyio
import pytest

from sdml_kafka import Call, ConfigurationError, parse_json
from tests.support.client_by_hand import (
    REPLY,
    REQUEST,
    ask,
    echo,
    new_broker,
    outcomes,
    reply,
    server_on,
    serving,
)
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def test_a_round_trip() -> None:
    broker = new_broker()
    ask(broker, b"hello", b"id-1")
    async with serving(broker, echo) as server:
        record = await reply(broker)
        assert record.value == b"hello"
        assert header(record, "request_id") == b"id-1"
        await until(lambda: server.status().in_flight == 0)
        counters = server.status().counters
        assert (counters.requests, counters.replies, counters.errors) == (1, 1, {})


async def test_what_a_handler_is_called_with() -> None:
    broker, calls = new_broker(), list[Call]()

    async def handle(value: Any, call: Call) -> None:
        assert value == {"a": 1}
        assert call.remaining_s is not None
        assert 4.9 < call.remaining_s <= 5.0
        assert call.deadline == pytest.approx(anyio.current_time() + call.remaining_s)
        assert not call.scope.cancel_called
        calls.append(call)

    async with serving(broker, handle, parser=parse_json):
        ask(broker, b'{"a": 1}', b"7", key=b"key", headers=[("own", b"x")], timeout_ms=5000)
        assert (await reply(broker)).value == b""
        (call,) = calls
        assert (call.id, call.key, call.topic) == (b"7", b"key", REQUEST)
        assert (call.reply_topics, call.record.offset) == ((REPLY,), 0)
        assert ("own", b"x") in call.headers
        with pytest.raises(RuntimeError, match="has ended"):
            _ = call.scope


async def test_a_call_shows_what_a_handler_may_use_and_no_more() -> None:
    broker, calls = new_broker(), list[Call]()

    async def handle(value: bytes, call: Call) -> None:
        calls.append(call)

    async with serving(broker, handle):
        ask(broker)
        await reply(broker)
    (call,) = calls
    shown = [name for name in dir(call) if not name.startswith("_")]
    assert repr(call) == "<Call 'request' partition 0 offset 0>"
    assert shown == [
        *("deadline", "dialect", "headers", "id", "is_cancelled", "key", "record"),
        *("remaining_s", "reply_headers", "reply_topics", "scope", "topic"),
    ]
    assert {name for name in dir(Call) if not name.startswith("_")} <= set(shown)


async def test_without_a_deadline() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        return repr((call.deadline, call.remaining_s)).encode()

    async with serving(broker, handle):
        ask(broker)
        assert (await reply(broker)).value == b"(None, None)"


class Callable_:
    async def __call__(self, value: bytes, call: Call) -> bytes:
        return b"called"


async def test_an_object_with_an_async_call() -> None:
    broker = new_broker()
    async with serving(broker, Callable_()):
        ask(broker)
        assert await outcomes(broker, 1) == [b"called"]


async def test_a_handler_may_have_a_name(caplog: pytest.LogCaptureFixture) -> None:
    broker = new_broker()
    server = server_on(broker)

    @server.handler(REQUEST, name="pricing")
    async def fail(value: bytes, call: Call) -> bytes:
        raise KeyError(value)

    async with server:
        ask(broker)
        await reply(broker)
    assert "a request to handler pricing failed" in caplog.text
    for name in ("", 5):
        with pytest.raises(ConfigurationError, match="name"):
            server_on(broker).handler(REQUEST, name=name)(echo)  # type: ignore[arg-type]
