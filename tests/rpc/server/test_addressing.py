"""Where replies go, and the id and the key that they carry."""

from collections.abc import Callable
from typing import Any

import pytest

from sdml_kafka import Call, Dedupe
from tests.support.client_by_hand import (
    REPLY,
    ask,
    echo,
    new_broker,
    no_replies,
    outcome,
    outcomes,
    reply,
    serving,
)
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


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
        (lambda record: bytearray(b"array"), b"array"),
        (lambda record: "\udcff", None),
        (lambda record: 7, None),
    ],
)
async def test_an_extraction_of_the_programs_own(
    extract: Callable[[Any], Any], expected: bytes | None
) -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        assert call.id == expected
        return value

    async with serving(broker, handle, correlation_from_record=extract, dedupe=Dedupe()):
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
