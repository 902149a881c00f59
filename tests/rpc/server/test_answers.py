"""What a handler does, and what its caller hears of it."""

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, CallTimeout, RemoteError, parse_json
from tests.support.client_by_hand import (
    REPLY,
    REQUEST,
    ask,
    header,
    new_broker,
    no_replies,
    outcome,
    outcomes,
    replies,
    reply,
    serving,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def echo(value: bytes, call: Call) -> bytes:
    return value


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


async def test_what_a_handler_is_told() -> None:
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


async def test_without_a_deadline() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        return repr((call.deadline, call.remaining_s)).encode()

    async with serving(broker, handle):
        ask(broker)
        assert (await reply(broker)).value == b"(None, None)"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (b"bytes", b"bytes"),
        (None, b""),
        (bytearray(b"array"), b"array"),
        (memoryview(b"view"), b"view"),
        ("text", b"internal"),
        ({"a": 1}, b"internal"),
        (0, b"internal"),
    ],
)
async def test_what_a_handler_may_return(result: Any, expected: bytes) -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> Any:
        return result

    async with serving(broker, handle):
        ask(broker)
        assert await outcomes(broker, 1) == [expected]


async def test_a_wrong_type_is_logged_with_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> Any:
        return {"a": 1}

    async with serving(broker, handle):
        ask(broker)
        assert header(await reply(broker), "x-error") == b""
    assert "returned dict: return bytes or None, or give the handler a serializer" in caplog.text


async def test_a_serializer() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> Any:
        results = {b"text": "text", b"none": None, b"bytes": b"bytes", b"bad": 3}
        return results[value]

    async with serving(broker, handle, serializer=lambda value: value.encode()):
        for value in (b"text", b"none", b"bytes", b"bad"):
            ask(broker, value)
        assert await outcomes(broker, 4) == [b"text", b"", b"bytes", b"internal"]


async def test_a_serializer_that_returns_something_else() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> Any:
        return 1

    async with serving(broker, handle, serializer=str):
        ask(broker)
        assert await outcomes(broker, 1) == [b"internal"]


@pytest.mark.parametrize("value", [b"no json", None, b"\xff", b""])
async def test_a_request_that_does_not_parse(value: bytes | None) -> None:
    broker = new_broker()

    async def handle(value: Any, call: Call) -> bytes:
        raise AssertionError("called")

    async with serving(broker, handle, parser=parse_json) as server:
        ask(broker, value)
        record = await reply(broker)
        assert outcome(record) == b"invalid_argument"
        assert header(record, "x-error") == b"the request does not parse"
        assert server.status().counters.errors == {"invalid_argument": 1}


async def test_a_parser_that_waits() -> None:
    broker = new_broker()

    async def parse(record: Any) -> bytes:
        await anyio.sleep(1)
        if record.value == b"bad":
            raise ValueError("bad")
        return b"parsed " + bytes(record.value)

    async with serving(broker, echo, parser=parse):
        ask(broker, b"bad")
        ask(broker, b"good")
        assert sorted(await outcomes(broker, 2)) == [b"invalid_argument", b"parsed good"]


async def test_a_handler_chooses_the_status() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        raise RemoteError("not_found", "no such order: \u00e4")

    async with serving(broker, handle) as server:
        ask(broker)
        record = await reply(broker)
        assert outcome(record) == b"not_found"
        assert header(record, "x-error") == "no such order: \u00e4".encode()
        assert server.status().counters.errors == {"not_found": 1}


@pytest.mark.parametrize("status", ["ok", "", "with space", "x" * 65, "\n", None, 5])
async def test_a_status_that_cannot_be_one(status: Any, caplog: pytest.LogCaptureFixture) -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        raise RemoteError(status, "text")

    async with serving(broker, handle):
        ask(broker)
        record = await reply(broker)
        assert outcome(record) == b"internal"
        assert header(record, "x-error") == b""
    assert "an impossible status" in caplog.text


async def test_an_error_in_a_task_group_of_the_handler_keeps_its_status() -> None:
    broker = new_broker()

    async def fail() -> None:
        raise RemoteError("not_found")

    async def handle(value: bytes, call: Call) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)

    async with serving(broker, handle):
        ask(broker)
        assert await outcomes(broker, 1) == [b"not_found"]


async def test_what_went_wrong_inside_does_not_leave_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        raise KeyError("the secret path /etc/x")

    async with serving(broker, handle) as server:
        ask(broker)
        ask(broker, b"again")
        for record in await replies(broker, 2):
            assert outcome(record) == b"internal"
            assert header(record, "x-error") == b""
            assert b"secret" not in repr(record).encode()
        assert server.status().counters.errors == {"internal": 2}
    assert "Traceback" in caplog.text
    assert "KeyError" in caplog.text
    assert caplog.text.count("failed") == 1  # the same again is logged later


async def test_what_went_wrong_may_be_told() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        raise KeyError("why")

    async with serving(broker, handle, expose_errors=True):
        ask(broker)
        assert header(await reply(broker), "x-error") == b"KeyError: 'why'"


async def test_an_error_whose_text_raises() -> None:
    class Nasty(Exception):
        def __str__(self) -> str:
            raise ValueError

    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        raise Nasty

    async with serving(broker, handle, expose_errors=True):
        ask(broker)
        assert await outcomes(broker, 1) == [b"internal"]


async def test_a_time_out_of_the_handlers_own_before_the_deadline_is_internal() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        raise CallTimeout("a call of mine")

    async with serving(broker, handle):
        ask(broker, timeout_ms=10_000)
        assert await outcomes(broker, 1) == [b"internal"]


# -- handlers of other kinds -------------------------------------------------------------


class Callable_:
    async def __call__(self, value: bytes, call: Call) -> bytes:
        return b"called"


async def test_an_object_with_an_async_call() -> None:
    broker = new_broker()
    async with serving(broker, Callable_()):
        ask(broker)
        assert await outcomes(broker, 1) == [b"called"]


# -- where replies go --------------------------------------------------------------------


async def test_each_reply_topic_gets_it() -> None:
    broker = new_broker(second=1)
    async with serving(broker, echo) as server:
        ask(broker, reply_to=[REPLY, "second", REPLY])
        assert (await reply(broker)).value == b"value"
        assert (await reply(broker, "second")).value == b"value"
        await until(lambda: server.status().counters.replies == 2)


async def test_the_partition_that_was_asked_for() -> None:
    broker = new_broker(wide=8)
    async with serving(broker, echo):
        ask(broker, reply_to=["wide"], headers=[("x-reply-partition", b"5")])
        assert (await reply(broker, "wide", 5)).value == b"value"


async def test_a_partition_that_does_not_exist_is_not_asked_for_again() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        ask(broker, headers=[("x-reply-partition", b"7")], key=b"key")
        assert await outcomes(broker, 1) == [b"value"]
        await until(lambda: server.status().in_flight == 0)


async def test_the_key_is_echoed() -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, id_=None, key=b"customer")
        record = await reply(broker)
        assert record.key == b"customer"
        assert header(record, "request_id") is None


async def test_without_an_id_and_a_key() -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, id_=None)
        record = await reply(broker)
        assert (record.key, record.value) == (None, b"value")


@pytest.mark.parametrize("name", ["correlation_id", "x-correlation-id", "Correlation_ID"])
async def test_ids_of_the_former_guidelines(name: str) -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, id_=None, headers=[(name, b"abc")])
        assert header(await reply(broker), name) == b"abc"


async def test_an_id_that_is_not_utf_8_is_echoed_verbatim() -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, id_=b"\xff\x00\xfe")
        assert header(await reply(broker), "request_id") == b"\xff\x00\xfe"


async def test_a_custom_header() -> None:
    broker = new_broker()
    async with serving(broker, echo, corr_header_keys=["x-my-id"]):
        ask(broker, id_=b"not this", headers=[("x-my-id", b"mine")])
        record = await reply(broker)
        assert header(record, "x-my-id") == b"mine"
        assert header(record, "request_id") is None


@pytest.mark.parametrize(
    ("extract", "expected"),
    [
        (lambda record: record.value[:3], b"val"),
        (lambda record: "text", b"text"),
        (lambda record: None, None),
        (lambda record: 1 / 0, None),
        (lambda record: b"x" * 10_000, None),
    ],
)
async def test_an_extraction_of_the_programs_own(
    extract: Callable[[Any], Any], expected: bytes | None
) -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        assert call.id == expected
        return value

    async with serving(broker, handle, correlation_from_record=extract):
        ask(broker, id_=b"not this")
        record = await reply(broker)
        assert outcome(record) == b"value"
        assert header(record, "request_id") == expected


async def test_one_way() -> None:
    broker, seen = new_broker(), list[bytes]()

    async def handle(value: bytes, call: Call) -> bytes:
        seen.append(value)
        if value == b"bad":
            raise ValueError
        return b"nobody wants it"

    async with serving(broker, handle) as server:
        ask(broker, b"a", reply_to=[])
        ask(broker, b"bad", reply_to=[])
        await until(lambda: len(seen) == 2)
        assert no_replies(broker)
        counters = server.status().counters
        assert (counters.one_way, counters.replies) == (2, 0)
        assert server.status().in_flight == 0


async def test_logs_name_no_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        raise ValueError("failed")

    async with serving(broker, handle):
        ask(broker, b"password", b"id")
        await reply(broker)
    assert "password" not in caplog.text
