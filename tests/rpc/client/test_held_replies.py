"""Replies that are not parsed at once: by an async parser, or one that needs something first."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    CallTimeout,
    KafkaRPC,
    NotYet,
    ParserSpec,
    RemoteError,
    ReplyInvalid,
    StreamBroken,
    parse_bytes,
)
from sdml_kafka.transport.interfaces.records import Record
from tests.support.headers import header
from tests.support.nest_peer import NestResponder
from tests.support.schema_away import AWAY, Schema
from tests.support.server_by_hand import (
    REPLY,
    REQUEST,
    Hand,
    answer_with_stream,
    callers,
    client_on,
    hand,
    new_broker,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


@asynccontextmanager
async def client_and_hand(
    parser: Callable[[Record], Any] = parse_bytes, **options: Any
) -> AsyncGenerator[tuple[KafkaRPC, Hand]]:
    """Enter a client whose replies this parses, and a server by hand."""
    broker, spec = new_broker(), ParserSpec[bytes](topics=[REPLY], type=bytes, parser=parser)
    async with client_on(broker, parsers=[spec], **options) as rpc, hand(broker) as server:
        yield rpc, server


def parser_of(schema: Schema, *, is_async: bool) -> Callable[[Record], Any]:
    return schema.parse_later if is_async else schema.parse


BOTH = pytest.mark.parametrize("is_async", [False, True])


@pytest.mark.uvloop_too
@BOTH
async def test_no_more_replies_of_a_stream_are_held_than_may_wait(is_async: bool) -> None:
    schema = Schema()
    parser = parser_of(schema, is_async=is_async)
    async with client_and_hand(parser) as (rpc, server), anyio.create_task_group() as tasks:
        cancels: list[Record] = []

        def is_waiting(count: int) -> bool:
            return schema.waiting == count

        async def serve() -> None:
            request = await server.request()
            place = ("x-cancel-partition", b"%d" % request.partition)
            for number in range(6):
                await until(partial(is_waiting, number))
                server.reply(request, b"x", ("x-sequence", b"%d" % number), place, partition=0)
            cancels.append(await server.request())

        tasks.start_soon(serve)
        why = "has not returned" if is_async else AWAY
        with pytest.raises(StreamBroken, match=f"More than 5 replies wait to be parsed: .*{why}"):
            async for _ in rpc.stream(REQUEST, b"", res_timeout=None, max_waiting=5):
                pass
        await until(lambda: schema.waiting == 0)
        assert schema.most == 5
        assert rpc.status().in_flight == 0
        await until(lambda: bool(cancels))
    assert header(cancels[0], "x-cancel") == b"1"


@pytest.mark.uvloop_too
async def test_status_and_health_say_why() -> None:
    schema = Schema()
    async with client_and_hand(schema.parse) as (rpc, server), callers(rpc) as calls:
        outcome = calls.call(res_timeout=None)
        server.reply(await server.request())
        await until(lambda: schema.waiting == 1)
        why = rpc.status().waits_for
        assert why == f"a reply from {REQUEST!r} waits: {AWAY}"
        assert rpc.health().ready
        await anyio.sleep(30)
        assert rpc.status().waits_for_s == pytest.approx(30, abs=1)
        health = rpc.health()
        assert (health.state, health.ready, health.live) == ("held", False, True)
        assert health.reason.startswith(why)
        schema.come.set()
        await outcome.get()
        assert rpc.status().waits_for is None
        assert rpc.health().ready


async def test_what_is_tried_again_and_again_is_held_all_the_time() -> None:
    def parse(record: Record) -> bytes:
        raise NotYet("a table is locked", partial(anyio.sleep, 0.3))

    async with client_and_hand(parse) as (rpc, server), callers(rpc) as calls:
        outcome = calls.call(res_timeout=None)
        server.reply(await server.request())
        await until(lambda: rpc.status().waits_for is not None)
        await anyio.sleep(10.1)
        assert "a table is locked" in rpc.health().reason
        outcome.scope.cancel()
        await until(lambda: rpc.status().waits_for is None)


@BOTH
async def test_a_call_that_its_caller_cancels_holds_no_reply(is_async: bool) -> None:
    schema = Schema()
    parser = parser_of(schema, is_async=is_async)
    async with client_and_hand(parser) as (rpc, server), callers(rpc) as calls:
        outcome = calls.call(res_timeout=None)
        server.reply(await server.request())
        await until(lambda: schema.waiting == 1)
        outcome.scope.cancel()
        await until(lambda: schema.waiting == 0)
        assert rpc.status().in_flight == 0


@BOTH
async def test_a_stream_that_its_reader_leaves_holds_no_reply(is_async: bool) -> None:
    schema = Schema()
    parser = parser_of(schema, is_async=is_async)
    async with client_and_hand(parser) as (rpc, server), anyio.create_task_group() as tasks:
        stream = rpc.stream(REQUEST, b"", res_timeout=None)

        async def read() -> None:
            assert [value async for value in stream] == []

        tasks.start_soon(read)
        answer_with_stream(server, await server.request(), [b"a", b"b"], end=False)
        await until(lambda: schema.waiting == 2)
        await stream.aclose()
        await until(lambda: schema.waiting == 0)


@BOTH
async def test_the_first_reply_counts_though_it_is_not_parsed_yet(is_async: bool) -> None:
    schema = Schema()
    parser = parser_of(schema, is_async=is_async)
    async with client_and_hand(parser) as (rpc, server), callers(rpc) as calls:
        outcome = calls.call()
        request = await server.request()
        server.reply(request, b"first", partition=0)
        for _ in range(10):
            server.reply(request, b"again", partition=0)
        server.reply(request, b"", ("x-status", b"internal"), partition=0)
        await until(lambda: rpc.status().counters.late_replies == 11)
        assert schema.most == 1
        schema.come.set()
        assert await outcome.get() == b"first"


@BOTH
async def test_a_call_that_times_out_says_that_its_reply_came(is_async: bool) -> None:
    schema = Schema()
    parser = parser_of(schema, is_async=is_async)
    async with client_and_hand(parser) as (rpc, server), callers(rpc) as calls:
        outcome = calls.call(res_timeout=5)
        server.reply(await server.request())
        why = "its parser, which is async" if is_async else AWAY
        with pytest.raises(CallTimeout, match=f"came, and was not parsed within 5 s: {why}"):
            await outcome.get()
        assert schema.waiting == 0


async def test_a_stream_that_times_out_says_what_came_and_what_is_not_parsed() -> None:
    schema = Schema()

    def parse(record: Record) -> bytes:
        return b"0" if record.value == b"0" else schema.parse(record)

    async with client_and_hand(parse) as (rpc, server), anyio.create_task_group() as tasks:

        async def serve() -> None:
            answer_with_stream(server, await server.request(), [b"0", b"1", b"2"], end=False)

        tasks.start_soon(serve)
        seen, error = await read_all(rpc)
    assert seen == [b"0"]
    assert str(error).endswith(f"; 1 reply came, and 2 more wait to be parsed: {AWAY}")


def fail_natively(server: Hand, request: Record) -> None:
    answer_with_stream(server, request, [b"0", b"1"], end=False)
    error = ("x-status", b"gone"), ("x-error", b"no more")
    server.reply(request, b"", ("x-sequence", b"2"), ("x-end", b"1"), *error, partition=0)


def fail_as_nest(server: Hand, request: Record) -> None:
    nest = NestResponder(server._broker)
    nest.next(request, b"0")
    nest.next(request, b"1")
    nest.fail(request, b'{"status":"gone","message":"no more"}')


async def read_all(rpc: KafkaRPC) -> tuple[list[bytes], Exception | None]:
    seen = list[bytes]()
    try:
        async for value in rpc.stream(REQUEST, b""):
            seen.append(value)
    except Exception as error:
        return seen, error
    return seen, None


@BOTH
@pytest.mark.parametrize(("dialect", "fail"), [("native", fail_natively), ("nestjs", fail_as_nest)])
async def test_an_error_waits_for_the_values_before_it(
    dialect: Any, fail: Callable[[Hand, Record], None], is_async: bool
) -> None:
    schema = Schema()
    parser = parser_of(schema, is_async=is_async)
    async with (
        client_and_hand(parser, dialect=dialect) as (rpc, server),
        anyio.create_task_group() as tasks,
    ):

        async def serve() -> None:
            fail(server, await server.request())
            await until(lambda: schema.waiting == 2)
            await anyio.sleep(1)
            schema.come.set()

        tasks.start_soon(serve)
        seen, error = await read_all(rpc)
    assert seen == [b"0", b"1"]
    assert isinstance(error, RemoteError)
    assert (error.status, error.text) == ("gone", "no more")


async def test_an_error_outweighs_replies_that_are_missing() -> None:
    async with client_and_hand() as (rpc, server), anyio.create_task_group() as tasks:

        async def serve() -> None:
            request = await server.request()
            answer_with_stream(server, request, [b"0"], end=False)
            error = ("x-status", b"gone"), ("x-end", b"1")
            server.reply(request, b"", ("x-sequence", b"5"), *error, partition=0)

        tasks.start_soon(serve)
        seen, error = await read_all(rpc)
    assert seen == [b"0"]
    assert isinstance(error, RemoteError)


async def test_a_value_that_does_not_parse_ends_the_stream_in_its_place() -> None:
    schema = Schema()

    def parse(record: Record) -> bytes:
        if record.value == b"bad":
            raise ValueError("bad")
        return schema.parse(record)

    async with client_and_hand(parse) as (rpc, server), anyio.create_task_group() as tasks:

        async def serve() -> None:
            answer_with_stream(server, await server.request(), [b"0", b"bad", b"2"])
            await until(lambda: schema.waiting == 2)
            schema.come.set()

        tasks.start_soon(serve)
        seen, error = await read_all(rpc)
    assert seen == [b"0"]
    assert isinstance(error, ReplyInvalid)


@pytest.mark.parametrize("found", ["\udcff", b"", b"x" * 2000, ["a"], 5, object()])
async def test_what_cannot_be_an_id_harms_no_other_call(found: Any) -> None:
    def find(record: Any) -> Any:
        return found if record.value == b"strange" else header(record, "request_id")

    async with (
        client_and_hand(correlation_from_record=find) as (rpc, server),
        callers(rpc) as calls,
    ):
        outcome = calls.call()
        request = await server.request()
        server.reply(request, b"strange")
        await until(lambda: rpc.status().counters.foreign_replies == 1)
        server.reply(request, b"good")
        assert await outcome.get() == b"good"
        assert rpc.status().counters.restarts == 0
