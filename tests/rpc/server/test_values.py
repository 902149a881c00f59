"""Between bytes and values: parsers of requests, serializers, and what a handler may return."""

from typing import Any

import anyio
import pytest

from sdml_kafka import (
    SKIP,
    Call,
    CallTimeout,
    ConfigurationError,
    Record,
    RemoteError,
    Skip,
    parse_json,
)
from sdml_kafka.parsing.parsers import forget_raise
from tests.support.client_by_hand import ask, echo, new_broker, outcome, outcomes, reply, serving
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]


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


async def test_a_parser_that_cannot_work_is_no_fault_of_the_request() -> None:
    broker = new_broker()

    def parse(record: Record) -> bytes:
        raise ConfigurationError("its library is not installed")

    async with serving(broker, echo, parser=parse):
        ask(broker)
        assert outcome(await reply(broker)) == b"internal"


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


async def _ask_of(parser: Any, *, timeout_ms: int | None = None) -> tuple[bytes, bytes | None]:
    """Return the status and the text that a request gets whose parser is this one."""
    broker = new_broker()
    async with serving(broker, echo, parser=parser):
        ask(broker, timeout_ms=timeout_ms)
        record = await reply(broker)
        return outcome(record), header(record, "x-error")


async def test_a_parser_chooses_the_status() -> None:
    def parse(record: Any) -> Any:
        raise RemoteError("not_found", "no such tenant")

    async def parse_later(record: Any) -> Any:
        await anyio.sleep(0.1)
        raise RemoteError("not_found", "no such tenant")

    async def parse_in_tasks(record: Any) -> Any:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(parse_later, record)

    for parser in (parse, parse_later, parse_in_tasks):
        assert await _ask_of(parser) == (b"not_found", b"no such tenant")


async def test_a_parser_that_chooses_a_status_that_cannot_be_one() -> None:
    def parse(record: Any) -> Any:
        raise RemoteError("with space", "text")

    assert await _ask_of(parse) == (b"internal", b"")


async def test_what_a_parser_got_from_a_server_or_not_in_time_is_not_the_requests_fault() -> None:
    async def pass_on(record: Any) -> Any:
        error = RemoteError("not_found", "of another server")
        error.received = True
        raise error

    async def wait_too_long(record: Any) -> Any:
        raise CallTimeout("a call of the parser's own")

    async def wait_until_late(record: Any) -> Any:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(2)
        raise CallTimeout("a call of the parser's own")

    assert await _ask_of(pass_on) == (b"internal", b"")
    assert await _ask_of(wait_too_long, timeout_ms=60_000) == (b"internal", b"")
    assert (await _ask_of(wait_until_late, timeout_ms=1000))[0] == b"deadline_exceeded"


@pytest.mark.parametrize("is_raised", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_request_that_the_parser_says_is_not_for_it(
    is_raised: bool, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    forget_raise(SKIP)  # what other tests have raised
    broker = new_broker()

    def parse(record: Record) -> bytes | Skip:
        if is_raised:
            raise SKIP
        return SKIP

    async def parse_later(record: Record) -> bytes | Skip:
        return parse(record)

    async with serving(broker, echo, parser=parse_later if is_async else parse) as server:
        ask(broker)
        assert outcome(await reply(broker)) == b"invalid_argument"
        assert server.status().counters.errors == {"invalid_argument": 1}
    assert "does not parse" not in caplog.text
    assert SKIP.__traceback__ is None
