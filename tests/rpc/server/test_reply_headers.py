"""Headers of a handler's own in its replies."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from sdml_kafka import Call, ConfigurationError, RemoteError
from tests.support.client_by_hand import ask, new_broker, outcome, replies, reply, serving
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]


@pytest.mark.uvloop_too
async def test_a_handler_adds_headers_to_its_reply() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        call.reply_headers["__TypeId__"] = "com.example.Prïce"
        call.reply_headers["raw"] = b"\xff"
        return b"1.20"

    async with serving(broker, handle):
        ask(broker)
        record = await reply(broker)
    assert list(record.headers) == [
        ("request_id", b"1"),
        ("x-status", b"ok"),
        ("__TypeId__", "com.example.Prïce".encode()),
        ("raw", b"\xff"),
    ]


async def test_they_may_be_given_all_at_once_and_be_taken_back() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        call.reply_headers = [("a", b"1"), ("b", "2")]
        del call.reply_headers["a"]
        assert dict(call.reply_headers) == {"b": b"2"}
        call.reply_headers = {"c": "3", "a": "1"}
        assert (len(call.reply_headers), repr(call.reply_headers)) == (
            2,
            "ReplyHeaders({'c': b'3', 'a': b'1'})",
        )
        return b""

    async with serving(broker, handle):
        ask(broker)
        record = await reply(broker)
    assert list(record.headers)[2:] == [("c", b"3"), ("a", b"1")]


async def test_errors_have_them_as_well() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> None:
        call.reply_headers["hint"] = "later"
        raise RemoteError("unavailable", "")

    async with serving(broker, handle):
        ask(broker)
        record = await reply(broker)
    assert (outcome(record), header(record, "hint")) == (b"unavailable", b"later")


async def test_the_replies_of_a_stream_have_those_that_are_there_by_then() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"0"
        call.reply_headers["part"] = "second"
        yield b"1"

    async with serving(broker, handle):
        ask(broker)
        records = await replies(broker, 3)
    assert [header(record, "part") for record in records] == [None, b"second", b"second"]


@pytest.mark.parametrize(
    "name",
    [
        *("x-status", "X-Error", "request_id", "x-correlation-id", "own-id"),
        *("kafka_correlationId", "kafka_nest-is-disposed", "KAFKA_REPLYTOPIC"),
        *("", None, 1, "\ud800"),
    ],
)
async def test_names_that_are_refused(name: Any) -> None:
    broker, errors = new_broker(), list[str]()

    async def handle(value: bytes, call: Call) -> None:
        with pytest.raises(ConfigurationError) as caught:
            call.reply_headers[name] = b"x"
        errors.append(str(caught.value))

    async with serving(broker, handle, corr_header_keys=("Own-Id",)):
        ask(broker, id_=None, headers=[("own-id", b"1")])
        record = await reply(broker)
    assert len(record.headers) == 2
    assert "header" in errors[0]


async def test_a_value_that_is_no_text_and_no_bytes_is_refused() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> None:
        headers: Any = call.reply_headers
        for refused in (None, 5, "\ud800", 1.0, ["a"]):
            with pytest.raises(ConfigurationError):
                headers["a"] = refused

    async with serving(broker, handle):
        ask(broker)
        assert outcome(await reply(broker)) == b""
