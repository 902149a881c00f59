"""Requests and replies whose serializers return headers as well, such as the GUID of a schema."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, ConfigurationError, Dedupe, Encoded, NotYet, RemoteError
from tests.support.client_by_hand import ask, new_broker, outcome, replies, reply, serving
from tests.support.headers import header
from tests.support.server_by_hand import REQUEST, callers, client_on, hand
from tests.support.server_by_hand import new_broker as new_broker_for_client
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]

SCHEMA = ("__value_schema_id", b"\x01guid")
FIGS = Encoded(b"figs", (SCHEMA,))


def with_schema(value: str) -> Encoded:
    return Encoded(value.encode(), (SCHEMA,))


async def text(value: bytes, call: Call) -> Any:
    call.reply_headers["own"] = b"1"
    return value.decode()


async def ready_made(value: bytes, call: Call) -> Any:
    call.reply_headers["own"] = b"1"
    return with_schema(value.decode())


def plain(value: bytes, call: Call) -> Any:
    call.reply_headers["own"] = b"1"
    return value.decode()


@pytest.mark.uvloop_too
@pytest.mark.parametrize("handler", [text, ready_made, plain])
async def test_a_reply_has_the_headers_behind_those_of_the_handler(handler: Any) -> None:
    broker = new_broker()
    async with serving(broker, handler, serializer=with_schema):
        ask(broker, b"figs")
        record = await reply(broker)
    assert record.value == b"figs"
    ours = [("request_id", b"1"), ("x-status", b"ok")]
    assert list(record.headers) == [*ours, ("own", b"1"), SCHEMA]


@pytest.mark.parametrize("dialect", ["native", "nestjs"])
async def test_each_reply_of_a_stream_has_its_own(dialect: Any) -> None:
    async def count(value: bytes, call: Call) -> AsyncGenerator[Any]:
        for number in range(3):
            yield Encoded(b"%d" % number, (("number", b"%d" % number),))
        yield b"plain"

    broker = new_broker()
    async with serving(broker, count):
        if dialect == "native":
            ask(broker)
        else:
            ask(broker, reply_to=(), headers=FOR_NEST)
        records = await replies(broker, 5 if dialect == "native" else 4)
    assert [header(record, "number") for record in records[:4]] == [b"0", b"1", b"2", None]
    assert [record.value for record in records[:4]] == [b"0", b"1", b"2", b"plain"]


FOR_NEST = [("kafka_correlationId", b"1"), ("kafka_replyTopic", b"reply")]


@pytest.mark.parametrize(
    "encoded",
    [
        Encoded(b"x", (("x-status", b"gone"),)),
        Encoded(b"x", (("Kafka_CorrelationId", b"2"),)),
        Encoded(b"x", (("request_id", b"2"),)),
        Encoded(b"x", (("a", 1),)),  # type: ignore[arg-type]
        Encoded("x"),  # type: ignore[arg-type]
    ],
)
async def test_headers_that_no_reply_may_have_make_an_error(encoded: Encoded) -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> Encoded:
        return encoded

    async with serving(broker, handle):
        ask(broker)
        record = await reply(broker)
    assert outcome(record) == b"internal"
    assert len(record.headers) == 3


async def test_a_repeat_gets_the_headers_as_well() -> None:
    broker = new_broker()
    async with serving(broker, text, serializer=with_schema, dedupe=Dedupe()):
        ask(broker, b"figs")
        ask(broker, b"figs")
        first, second = await replies(broker, 2)
    assert first.headers == second.headers


async def test_a_serializer_that_needs_something_first() -> None:
    known = list[bool]()

    async def prepare() -> None:
        known.append(True)

    def to_text(value: str) -> Encoded:
        if not known:
            raise NotYet("the schema is away", prepare)
        return with_schema(value)

    broker = new_broker()
    async with serving(broker, text, serializer=to_text):
        ask(broker, b"figs")
        record = await reply(broker)
    assert (record.value, header(record, SCHEMA[0])) == (b"figs", SCHEMA[1])


# -- requests ----------------------------------------------------------------------------


@pytest.mark.uvloop_too
@pytest.mark.parametrize("dialect", ["native", "spring", "nestjs"])
async def test_a_request_has_the_headers_behind_those_of_the_caller(dialect: Any) -> None:
    broker = new_broker_for_client()
    async with (
        client_on(broker, dialect=dialect) as rpc,
        hand(broker) as server,
        callers(rpc) as calls,
    ):
        for _ in range(2):  # calls with the same options share the other headers
            calls.call(FIGS, req_headers={"own": b"1"})  # type: ignore[arg-type]
            request = await server.request()
            assert request.value == b"figs"
            assert list(request.headers)[-2:] == [("own", b"1"), SCHEMA]
        calls.call(b"plain")
        assert SCHEMA not in (await server.request()).headers
        await rpc.notify(REQUEST, FIGS)
        assert list((await server.request()).headers)[-1] == SCHEMA


async def test_a_request_for_a_stream_has_them() -> None:
    broker = new_broker_for_client()
    async with (
        client_on(broker) as rpc,
        hand(broker) as server,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(anext, rpc.stream(REQUEST, FIGS))
        assert list((await server.request()).headers)[-1] == SCHEMA
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["x-timeout-ms", "request_id", "x-reply-topic", "", 5])
async def test_headers_that_no_request_may_have_are_refused(name: Any) -> None:
    encoded = Encoded(b"x", ((name, b"1"),))
    async with client_on(new_broker_for_client()) as rpc:
        with pytest.raises(ConfigurationError):
            await rpc.request(REQUEST, encoded)
        with pytest.raises(ConfigurationError):
            await rpc.notify(REQUEST, encoded)


async def test_a_value_that_is_no_bytes_is_refused() -> None:
    encoded: Any = Encoded("x")  # type: ignore[arg-type]
    async with client_on(new_broker_for_client()) as rpc:
        with pytest.raises(ConfigurationError, match="req_value"):
            await rpc.request(REQUEST, encoded)


async def test_errors_have_no_headers_of_a_serializer() -> None:
    broker = new_broker()

    async def fail(value: bytes, call: Call) -> str:
        raise RemoteError("gone", "")

    async with serving(broker, fail, serializer=with_schema):
        ask(broker)
        assert header(await reply(broker), SCHEMA[0]) is None
