"""Replies that do not parse, or are of another type than the call expects."""

from typing import Any

import anyio
import pytest

from sdml_kafka import SKIP, ParserSpec, Record, ReplyInvalid, Skip, parse_json
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.headers import header
from tests.support.server_by_hand import (
    JSON,
    RAW,
    REPLY,
    REQUEST,
    callers,
    client_on,
    hand,
    new_broker,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

type ALIAS = dict[str, Any]

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_a_reply_that_does_not_parse_fails_its_call_at_once() -> None:
    broker = new_broker()
    async with (
        client_on(broker, parsers=[JSON]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        bad, good = tasks.call(b"bad"), tasks.call(b"good")
        for request in await server.requests(2):
            server.reply(request, b"{" if request.value == b"bad" else b"{}")

        with pytest.raises(ReplyInvalid, match="does not parse") as caught:
            await bad.get()
        assert isinstance(caught.value.__cause__, ValueError)
        assert await good.get() == {}
        assert rpc.status().counters.invalid_replies == 1


async def test_a_reply_of_another_type_fails_its_call_at_once() -> None:
    broker = new_broker()
    async with (
        client_on(broker, parsers=[JSON]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        plain = tasks.call(b"[]", res_expect_type=dict)
        deep = tasks.call(b'{"a": "b"}', res_expect_type=dict[str, int])
        good = tasks.call(b'{"a": 1}', res_expect_type=dict[str, int])
        union = tasks.call(b"{}", res_expect_type=dict | None)
        for request in await server.requests(4):
            server.reply(request, request.value or b"")

        with pytest.raises(ReplyInvalid, match="list, and the call expects dict"):
            await plain.get()
        with pytest.raises(ReplyInvalid, match="dict, and the call expects"):
            await deep.get()
        assert await good.get() == {"a": 1}
        assert await union.get() == {}


async def test_a_reply_on_a_topic_of_another_type_is_not_this_calls() -> None:
    broker = MemoryBroker({REQUEST: 1, REPLY: 1, "numbers": 1})
    numbers: ParserSpec[int] = {
        "topics": ["numbers"],
        "type": int,
        "parser": lambda record: int(record.value or b""),
    }
    async with (
        client_on(broker, parsers=[RAW, numbers]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        call = tasks.call(res_expect_type=int)
        request = await server.request()
        assert header(request, "x-reply-topic") == b"numbers"
        server.reply(request, b"5", topic=REPLY)
        await until(lambda: rpc.status().counters.foreign_replies == 1)
        server.reply(request, b"6", topic="numbers")

        assert await call.get() == 6


async def test_an_async_parser_holds_up_its_own_call_alone() -> None:
    broker = new_broker()
    go = anyio.Event()

    async def slow(record: Any) -> bytes:
        if record.value == b"slow":
            await go.wait()
        return bytes(record.value)

    spec: ParserSpec[bytes] = {"topics": [REPLY], "type": bytes, "parser": slow}
    async with (
        client_on(broker, parsers=[spec]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        first, second = tasks.call(b"slow"), tasks.call(b"quick")
        for request in await server.requests(2):
            server.reply(request, request.value or b"", partition=0)

        assert await second.get() == b"quick"
        assert not first.ended.is_set()
        go.set()
        assert await first.get() == b"slow"


@pytest.mark.parametrize("is_raised", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_reply_that_the_parser_says_is_not_for_it_fails_its_call(
    is_raised: bool, is_async: bool
) -> None:
    def parse(record: Record) -> str | Skip:
        if is_raised:
            raise SKIP
        return SKIP

    async def parse_later(record: Record) -> str | Skip:
        return parse(record)

    broker = new_broker()
    spec: ParserSpec[str] = {
        "topics": [REPLY],
        "type": str,
        "parser": parse_later if is_async else parse,
    }
    async with (
        client_on(broker, parsers=[spec]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        calls = [tasks.call(res_expect_type=str), tasks.call(res_expect_type=None)]
        for request in await server.requests(2):
            server.reply(request, b"")
        for call in calls:
            with pytest.raises(ReplyInvalid, match="its parser returned SKIP"):
                await call.get()
    assert SKIP.__traceback__ is None


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (dict[str, Any], dict),
        (dict, dict[str, Any]),
        (dict[str, Any] | list[Any], dict),
        (dict[str, Any] | list[Any], dict | list),
        (ALIAS, dict),
        (dict, ALIAS),
    ],
    ids=str,
)
async def test_a_class_is_expected_of_its_generic_types_and_of_unions(
    given: Any, asked: Any
) -> None:
    broker = new_broker()
    spec: ParserSpec[Any] = {"topics": [REPLY], "type": given, "parser": parse_json}
    async with (
        client_on(broker, parsers=[spec]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        good, bad = (tasks.call(value, res_expect_type=asked) for value in (b'{"a": 1}', b"1"))
        for request in await server.requests(2):
            server.reply(request, request.value or b"")

        assert await good.get() == {"a": 1}
        with pytest.raises(ReplyInvalid):
            await bad.get()
