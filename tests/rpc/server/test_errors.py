"""What a caller learns of a handler's error, and what does not leave the server."""

import logging
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, CallTimeout, RemoteError
from tests.support.client_by_hand import ask, new_broker, outcome, outcomes, replies, reply, serving
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]


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


@pytest.mark.parametrize(
    ("id_", "value"),
    [
        (b"1", b""),
        (b"0123456789abcdef", b""),
        (bytes(range(120, 136)), None),
        (bytes(range(120, 137)), b""),
    ],
)
async def test_an_error_has_an_empty_value_and_null_where_spring_may_ask(
    id_: bytes, value: bytes | None
) -> None:
    """A template of Spring that was given our headers' names sends 16 raw bytes as the id."""
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> None:
        raise RemoteError("not_found")

    async with serving(broker, handle):
        ask(broker, id_=id_)
        assert (await reply(broker)).value == value


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
        assert caplog.text.count("failed") == 1  # the same error is logged again only later
    assert caplog.text.count("failed") == 2  # as the server is left
    assert caplog.text.count("Traceback") == 1


async def test_what_went_wrong_may_be_sent() -> None:
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


async def test_logs_name_no_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        raise ValueError("failed")

    async with serving(broker, handle):
        ask(broker, b"password", b"id")
        await reply(broker)
    assert "password" not in caplog.text
