"""Requests whose headers, keys or values make no sense."""

from typing import Any

import anyio
import pytest

from sdml_kafka import Call, Dedupe
from tests.support.client_by_hand import ask, echo, new_broker, outcomes, replies, reply, serving
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]


@pytest.mark.parametrize(
    "headers",
    [
        [("x-timeout-ms", b"\xff")],
        [("x-timeout-ms", b"-5")],
        [("x-timeout-ms", b"9" * 400)],
        [("x-timeout-ms", b"")],
        [("x-reply-partition", b"-1")],
        [("x-reply-partition", b"nan")],
        [("x-status", b"internal"), ("x-end", b"1"), ("x-sequence", b"7")],
        [("", b""), ("\x00", b"\x00"), ("\u00e4" * 1000, b"x" * 10_000)],
        [("junk", b"x")] * 10_000,
    ],
)
async def test_headers_that_make_no_sense(headers: list[tuple[str, bytes]]) -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, headers=headers)
        record = await reply(broker)
        assert (record.value, header(record, "request_id")) == (b"value", b"1")


async def test_headers_without_a_value() -> None:
    broker = new_broker()
    names = ("request_id", "x-reply-topic", "x-timeout-ms", "x-cancel", "x-reply-partition")
    empty: Any = [(name, None) for name in names]
    async with serving(broker, echo):
        ask(broker, id_=None, headers=empty)
        assert await outcomes(broker, 1) == [b"value"]


async def test_a_tombstone() -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, None)
        assert await outcomes(broker, 1) == [b""]


async def test_a_cancel_record_for_a_handler_that_does_not_stream() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        ask(broker, headers=[("x-cancel", b"1")])
        ask(broker, id_=None, headers=[("x-cancel", b"1")])
        ask(broker, b"next")
        assert await outcomes(broker, 1) == [b"next"]
        counters = server.status().counters
        assert (counters.requests, counters.unknown_cancels) == (1, 2)


async def test_the_same_key_on_100_concurrent_calls() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        await anyio.sleep(1)
        return value

    async with serving(broker, handle, dedupe=Dedupe()):
        for number in range(100):
            ask(broker, b"%d" % number, f"id-{number}", key=b"key")
        for record in await replies(broker, 100):
            assert header(record, "request_id") == b"id-" + (record.value or b"")
            assert record.key == b"key"
