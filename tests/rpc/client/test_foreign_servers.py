"""Calls to Spring and NestJS: what is sent, and what becomes of the replies."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import pytest

from sdml_kafka import (
    CallTimeout,
    ConfigurationError,
    KafkaRPC,
    NestJS,
    RemoteError,
    RemoteTimeout,
    ReplyInvalid,
    Spring,
    StreamBroken,
    TopicPartition,
)
from sdml_kafka.testing import MemoryBroker, MemoryRecord
from sdml_kafka.transport.interfaces.records import Record
from tests.support.headers import header
from tests.support.nest_peer import NestResponder
from tests.support.server_by_hand import (
    JSON,
    REPLY,
    REQUEST,
    Callers,
    Hand,
    Outcome,
    callers,
    client_on,
    hand,
    new_broker,
)
from tests.support.spring_peer import SpringResponder
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]


@asynccontextmanager
async def calling(
    **options: Any,
) -> AsyncGenerator[tuple[MemoryBroker, KafkaRPC, Callers, Hand]]:
    broker = new_broker()
    async with client_on(broker, **options) as rpc, hand(broker) as server, callers(rpc) as calls:
        yield broker, rpc, calls, server


async def error_of(outcome: Outcome) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await outcome.get()
    return caught.value


def names(record: Record | MemoryRecord) -> list[str]:
    return [name for name, _ in record.headers]


# -- requests ----------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, b"key"])
async def test_a_request_to_spring(key: bytes | None) -> None:
    async with calling(dialect="spring") as (_, _, calls, server):
        calls.call(b"figs", req_key=key, req_headers={"__TypeId__": "Order"})
        request = await server.request()
    assert (request.key, request.value) == (key, b"figs")
    assert names(request) == [
        *("kafka_correlationId", "x-timeout-ms", "kafka_replyTopic", "__TypeId__")
    ]
    assert header(request, "kafka_replyTopic") == REPLY.encode()


async def test_a_request_to_nest_always_names_a_partition_that_is_read() -> None:
    async with calling(dialect="nestjs") as (_, _, calls, server):
        calls.call(res_timeout=None)
        request = await server.request()
    assert names(request) == ["kafka_correlationId", "kafka_replyTopic", "kafka_replyPartition"]
    assert header(request, "kafka_replyPartition") in (b"0", b"1")
    id_ = header(request, "kafka_correlationId")
    assert id_ is not None
    assert id_.isascii()
    assert id_[:1].isalnum()
    assert request.key is None


@pytest.mark.parametrize(
    ("dialect", "forms"),
    [
        ("spring", (b"\x00\x00\x00\x00", b"\x00\x00\x00\x01")),
        ("nestjs", (b"0", b"1")),
    ],
)
async def test_with_own_partition_the_reply_is_asked_for_there(
    dialect: Any, forms: tuple[bytes, ...]
) -> None:
    async with calling(dialect=dialect, own_partition=True) as (_, rpc, calls, server):
        outcome = calls.call()
        request = await server.request()
        (own,) = rpc.status().reply_partitions
        assert header(request, "kafka_replyPartition") == forms[own.partition]
        if dialect == "spring":
            SpringResponder(server._broker).reply(request, b"figs")
        else:
            NestResponder(server._broker).reply(request, b"figs")
        assert await outcome.get() == b"figs"


# -- Spring's replies --------------------------------------------------------------------


@pytest.mark.uvloop_too
@pytest.mark.parametrize("type_id", [None, b"Price"])
async def test_springs_reply_is_the_result(type_id: bytes | None) -> None:
    async with calling(dialect="spring") as (broker, rpc, calls, server):
        outcomes = [calls.call(b"%d" % number, req_key="key") for number in range(20)]
        spring = SpringResponder(broker)
        for request in reversed(await server.requests(20)):
            spring.reply(request, b"re: " + (request.value or b""), type_id=type_id)
        assert [await each.get() for each in outcomes] == [b"re: %d" % n for n in range(20)]
        assert rpc.status().counters.replies == 20


async def test_springs_further_replies_are_dropped() -> None:
    async with calling(dialect="spring") as (broker, rpc, calls, server):
        outcome, spring = calls.call(), SpringResponder(broker)
        request = await server.request()
        spring.reply(request, b"first")
        spring.reply(request, b"second")
        assert await outcome.get() == b"first"
        await calls.call(res_timeout=1).ended.wait()
        assert rpc.status().counters.late_replies == 1


@pytest.mark.parametrize("value", [None, b"", b"text"])
@pytest.mark.parametrize("text", [b"", b"no figs", b"\xff"])
async def test_a_header_of_the_programs_choice_is_an_error(
    value: bytes | None, text: bytes
) -> None:
    dialect = Spring(error_headers=["myError", "other"])
    async with calling(dialect=dialect) as (broker, _, calls, server):
        outcome, spring = calls.call(), SpringResponder(broker)
        spring.reply_with_message(await server.request(), value, ("myError", text))
        error = await error_of(outcome)
    assert (error.status, error.text) == ("unknown", text.decode("utf-8", "replace"))


async def test_the_header_of_springs_manual_is_an_error_by_default() -> None:
    async with calling(dialect="spring") as (broker, _, calls, server):
        outcome, spring = calls.call(), SpringResponder(broker)
        spring.reply_with_message(
            await server.request(), b"x", ("other", b""), ("serverSentAnError", b"boom")
        )
        assert (await error_of(outcome)).text == "boom"


async def test_without_error_headers_every_reply_of_spring_is_a_result() -> None:
    async with calling(dialect=Spring(error_headers=())) as (broker, _, calls, server):
        outcome, spring = calls.call(), SpringResponder(broker)
        spring.reply_with_message(await server.request(), b"x", ("serverSentAnError", b"boom"))
        assert await outcome.get() == b"x"


async def test_springs_silence_is_a_timeout() -> None:
    async with calling(dialect="spring") as (_, _, calls, server):
        outcome = calls.call(res_timeout=1)
        await server.request()
        with pytest.raises(CallTimeout):
            await outcome.get()


async def test_the_elements_of_a_list_have_no_id_and_a_key_is_none() -> None:
    async with calling(dialect="spring") as (broker, rpc, calls, server):
        outcome, spring = calls.call(req_key="key", res_timeout=1), SpringResponder(broker)
        spring.reply_with_list(await server.request(), [b"a", b"b"])
        with pytest.raises(CallTimeout):
            await outcome.get()
        assert rpc.status().counters.foreign_replies == 2


async def test_null_is_what_the_parser_makes_of_it() -> None:
    async with calling(dialect="spring") as (broker, _, calls, server):
        outcome, spring = calls.call(), SpringResponder(broker)
        spring.reply_with_message(await server.request(), None)
        assert await outcome.get() == b""


async def test_spring_has_no_streams() -> None:
    async with client_on(new_broker(), dialect="spring") as rpc:
        with pytest.raises(ConfigurationError, match="request"):
            rpc.stream(REQUEST, b"value")


# -- NestJS's replies --------------------------------------------------------------------


@pytest.mark.uvloop_too
async def test_nests_reply_is_the_result() -> None:
    async with calling(dialect=NestJS()) as (broker, rpc, calls, server):
        outcomes = [calls.call(b"%d" % number) for number in range(20)]
        nest = NestResponder(broker)
        for request in reversed(await server.requests(20)):
            nest.reply(request, b"re: " + (request.value or b""))
        assert [await each.get() for each in outcomes] == [b"re: %d" % n for n in range(20)]
        assert rpc.status().counters.replies == 20


async def test_nests_null_is_what_the_parser_makes_of_it() -> None:
    async with calling(dialect="nestjs") as (broker, _, calls, server):
        outcome = calls.call()
        NestResponder(broker).reply(await server.request(), None)
        assert await outcome.get() == b""


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (b'{"status":"error","message":"boom"}', "error", "boom"),
        (b'{"status":"not_found","message":"no figs"}', "not_found", "no figs"),
        (b'{"statusCode":404,"message":["a","b"]}', "404", '["a", "b"]'),
        (b'{"status":"ok","message":"x"}', "unknown", "x"),
        (b'{"status":true,"message":7}', "unknown", "7"),
        (b'{"reason":"x"}', "unknown", '{"reason":"x"}'),
        (b"boom", "unknown", "boom"),
        (b'"boom"', "unknown", '"boom"'),
        (b"[" * 50_000, "unknown", "[" * 4096),
        (b"{\xff", "unknown", "{\ufffd"),
    ],
)
async def test_nests_errors(error: bytes, status: str, text: str) -> None:
    async with calling(dialect="nestjs") as (broker, _, calls, server):
        outcome = calls.call()
        NestResponder(broker).fail(await server.request(), error)
        found = await error_of(outcome)
    assert (found.status, found.text) == (status, text)


async def test_a_deadline_that_our_server_noticed_is_a_timeout() -> None:
    async with calling(dialect="nestjs") as (broker, _, calls, server):
        outcome = calls.call()
        error = b'{"status": "deadline_exceeded", "message": ""}'
        NestResponder(broker).fail(await server.request(), error)
        found = await error_of(outcome)
    assert isinstance(found, RemoteTimeout)
    assert isinstance(found, CallTimeout)


@pytest.mark.parametrize("value", [b"first", None])
async def test_a_request_that_is_answered_with_a_stream_says_so(value: bytes | None) -> None:
    async with calling(dialect="nestjs") as (broker, _, calls, server):
        outcome = calls.call()
        NestResponder(broker).next(await server.request(), value)
        with pytest.raises(ReplyInvalid, match="stream"):
            await outcome.get()
        assert not broker_cancels(broker)


async def test_a_request_that_is_answered_with_nothing_says_so() -> None:
    async with calling(dialect="nestjs") as (broker, _, calls, server):
        outcome = calls.call()
        NestResponder(broker).fail(await server.request(), b"")
        with pytest.raises(ReplyInvalid, match="no value"):
            await outcome.get()


def broker_cancels(broker: MemoryBroker) -> list[MemoryRecord]:
    places = (TopicPartition(REQUEST, number) for number in range(2))
    return [
        record
        for place in places
        for record in broker.records(place)
        if header(record, "x-cancel") is not None
    ]


# -- NestJS's streams --------------------------------------------------------------------


Answer = Callable[[NestResponder, Record], None]


async def stream_of(answer: Answer, **options: Any) -> tuple[list[Any], Exception | None]:
    """Return what a stream yields that is answered so, and what it raises."""
    seen, failure = list[Any](), None
    client = {name: options.pop(name) for name in ("parsers",) if name in options}
    async with calling(dialect="nestjs", **client) as (broker, rpc, _, server):

        async def serve() -> None:
            request = await server.request()
            assert (header(request, "kafka_replyPartition") or b"").isdigit()
            answer(NestResponder(broker), request)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            try:
                async for value in rpc.stream(REQUEST, b"value", res_timeout=5, **options):
                    seen.append(value)
            except Exception as error:
                failure = error
        assert not broker_cancels(broker)
        assert rpc.status().in_flight == 0
    return seen, failure


def all_of(nest: NestResponder, request: Record, *last: bytes | None) -> None:
    nest.next(request, b"0")
    nest.next(request, b"1")
    for value in last:
        nest.reply(request, value)


@pytest.mark.uvloop_too
async def test_the_last_value_ends_the_stream() -> None:
    assert await stream_of(lambda *to: all_of(*to, b"2")) == ([b"0", b"1", b"2"], None)


async def test_a_null_of_its_own_after_values_is_the_end_alone() -> None:
    assert await stream_of(lambda *to: all_of(*to, None)) == ([b"0", b"1"], None)


async def test_an_empty_value_is_a_value() -> None:
    assert await stream_of(lambda *to: all_of(*to, b"")) == ([b"0", b"1", b""], None)


async def test_one_reply_is_a_stream_of_one() -> None:
    assert await stream_of(lambda nest, to: nest.reply(to, b"x")) == ([b"x"], None)
    assert await stream_of(lambda nest, to: nest.reply(to, None)) == ([b""], None)


async def test_an_empty_error_ends_without_one() -> None:
    def answer(nest: NestResponder, request: Record) -> None:
        all_of(nest, request)
        nest.fail(request, b"")

    assert await stream_of(answer) == ([b"0", b"1"], None)
    assert await stream_of(lambda nest, to: nest.fail(to, b"")) == ([], None)


async def test_an_error_comes_after_the_values() -> None:
    def answer(nest: NestResponder, request: Record) -> None:
        all_of(nest, request)
        nest.fail(request, b'{"status":"gone","message":"no more"}')

    seen, error = await stream_of(answer)
    assert seen == [b"0", b"1"]
    assert isinstance(error, RemoteError)
    assert (error.status, error.text) == ("gone", "no more")


async def test_a_stream_that_does_not_end_says_how_many_came() -> None:
    seen, error = await stream_of(all_of)
    assert seen == [b"0", b"1"]
    assert isinstance(error, CallTimeout)
    assert "2 replies came" in str(error)


async def test_a_stream_that_nobody_reads_in_time_breaks() -> None:
    def answer(nest: NestResponder, request: Record) -> None:
        for _ in range(10):
            all_of(nest, request)

    _, error = await stream_of(answer, max_waiting=5)
    assert isinstance(error, StreamBroken)
    assert "More than 5" in str(error)


async def test_values_keep_their_order_when_their_parsers_do_not() -> None:
    async def parse(record: Record) -> bytes:
        value = record.value or b""
        await anyio.sleep(1 if value in (b"0", b"2") else 0.1)
        return value

    spec = {"topics": [REPLY], "type": bytes, "parser": parse}
    seen = await stream_of(lambda *to: all_of(*to, b"2"), parsers=[spec])
    assert seen == ([b"0", b"1", b"2"], None)
    assert await stream_of(lambda *to: all_of(*to, None), parsers=[spec]) == ([b"0", b"1"], None)


async def test_a_value_that_does_not_parse_fails_the_stream() -> None:
    seen, error = await stream_of(lambda *to: all_of(*to, b"{"), parsers=[JSON])
    assert seen == [0, 1]
    assert isinstance(error, ReplyInvalid)


async def test_a_stream_that_is_left_early_sends_no_cancel_record() -> None:
    async with (
        calling(dialect="nestjs") as (broker, rpc, _, server),
        rpc.stream(REQUEST, b"value") as stream,
    ):
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                all_of(NestResponder(broker), await server.request())

            tasks.start_soon(serve)
            assert await anext(stream) == b"0"
        await stream.aclose()
        assert not broker_cancels(broker)


# -- what cannot be said -----------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["spring", "nestjs"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"propagate_corr_to": "key"}, "kafka_correlationId"),
        ({"correlation_header_key": "own"}, "kafka_correlationId"),
        ({"propagate_corr_to": "nowhere"}, "propagate_corr_to"),
        ({"req_headers_reply_to": [REPLY, "other"]}, "one reply topic"),
        ({"req_headers": {"x-reply-topic": REPLY}, "req_headers_reply_to": [REPLY]}, "one reply"),
        ({"req_headers": {"kafka_correlationId": b"1"}}, "protocol"),
        ({"req_headers": {"Kafka_ReplyTopic": b"1"}}, "protocol"),
        ({"req_headers": {"kafka_replyPartition": b"1"}}, "protocol"),
        ({"req_headers": {"kafka_nest-err": b"1"}}, "protocol"),
        ({"req_headers": {"x-cancel": b"1"}}, "protocol"),
    ],
)
async def test_what_a_request_cannot_say(dialect: Any, options: Any, says: str) -> None:
    async with client_on(new_broker(), dialect=dialect) as rpc:
        with pytest.raises(ConfigurationError, match=says):
            await rpc.request(REQUEST, b"value", **options)


@pytest.mark.parametrize(
    "id_", [b"\xff", "é", "{1}", "[1]", '"1"', "-1", "a b", "a\n", b"\x00" * 16]
)
async def test_ids_that_nest_would_not_echo_are_refused(id_: bytes | str) -> None:
    async with client_on(new_broker(), dialect="nestjs") as rpc:
        with pytest.raises(ConfigurationError, match="printable ASCII"):
            await rpc.request(REQUEST, b"value", correlation_id=id_)


@pytest.mark.parametrize("id_", ["a", "1", "7c9e6679-a42d", "A~!{}"])
async def test_ids_that_nest_echoes(id_: str) -> None:
    async with calling(dialect="nestjs") as (broker, _, calls, server):
        outcome = calls.call(correlation_id=id_)
        NestResponder(broker).reply(await server.request(), b"x")
        assert await outcome.get() == b"x"


async def test_any_id_goes_to_spring() -> None:
    async with calling(dialect="spring") as (broker, _, calls, server):
        outcome = calls.call(correlation_id=bytes(range(256)) * 4)
        SpringResponder(broker).reply(await server.request(), b"x")
        assert await outcome.get() == b"x"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: KafkaRPC(bootstrap_servers="h", dialect=cast(Any, "soap")), "not 'soap'"),
        (lambda: KafkaRPC(bootstrap_servers="h", dialect=cast(Any, None)), "not None"),
        (
            lambda: KafkaRPC(bootstrap_servers="h", dialect="spring", corr_header_keys=["a"]),
            "corr_header_keys",
        ),
        (lambda: Spring(error_headers="a"), "list"),
        (lambda: Spring(error_headers=[""]), "names"),
        (lambda: Spring(error_headers=["\ud800"]), "names"),
        (lambda: Spring(error_headers=cast(Any, [1])), "names"),
        (lambda: Spring(error_headers=["a"] * 17), "at most 16"),
        (lambda: Spring(error_headers=["Kafka_Nest-Err"]), "something else"),
        (lambda: Spring(error_headers=["x-status"]), "something else"),
    ],
)
async def test_what_no_dialect_is(make: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make()
