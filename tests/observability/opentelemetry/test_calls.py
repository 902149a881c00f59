"""The traces of calls, on the twin: the client's and the server's spans, and nested calls."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from sdml_kafka import Call, CallTimeout, KafkaProducer, KafkaRPC, KafkaRPCServer, RemoteError
from sdml_kafka.rpc.dialects.messages import DialectName
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.telemetry import Seen, about, id_of, is_child, links_of, trace_of
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


@asynccontextmanager
async def calling(seen: Seen, dialect: DialectName = "native") -> AsyncGenerator[KafkaRPC]:
    """Enter two servers, the first of which calls the second, and a client."""
    broker = MemoryBroker({"outer": 1, "inner": 1, "out": 1})

    def client() -> KafkaRPC:
        transport = Transport(broker.connect(""), broker.connect_producer())
        return KafkaRPC(transport=transport, hooks=[seen.hook()], dialect=dialect)

    def server(group: str) -> KafkaRPCServer:
        transport = Transport(broker.connect(group), broker.connect_producer())
        return KafkaRPCServer(transport=transport, hooks=[seen.hook()])

    producer = KafkaProducer(transport=broker.connect_producer(), hooks=[seen.hook()])
    outer, inner, nested = server("outer"), server("inner"), client()

    @outer.handler("outer")
    async def answer_outer(value: bytes, call: Call) -> bytes:
        answer: bytes = await nested.request("inner", value, correlation_id=call.id)
        return answer

    @inner.handler("inner")
    async def answer_inner(value: bytes, call: Call) -> bytes:
        if value == b"bad":
            raise RemoteError("not_found", "none left")
        if value == b"slow":
            await anyio.sleep(100)
        await producer.send("out", value)
        return b"%x" % trace.get_current_span().get_span_context().trace_id

    async with AsyncExitStack() as stack:
        for each in (producer, nested, outer, inner):
            await stack.enter_async_context(each)
        yield await stack.enter_async_context(client())


async def test_a_notification_is_a_message_for_both() -> None:
    seen = Seen()
    async with calling(seen) as rpc:
        await rpc.notify("inner", b"value")
        await until(lambda: len(seen.named("process inner")) == 1)
    (sent,), (handled,) = seen.named("send inner"), seen.named("process inner")
    assert (sent.kind, handled.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert is_child(handled, sent)
    assert links_of(handled) == {sent.context.span_id}
    ids = {about(each)["messaging.message.conversation_id"] for each in (sent, handled)}
    assert len(ids) == 1
    assert "rpc.method" not in about(handled)
    assert seen.points("rpc.server.call.duration") == []
    assert [count for _, count in seen.points("messaging.process.duration")] == [1]


@pytest.mark.parametrize("dialect", ["native", "spring", "nestjs"])
async def test_a_call_that_makes_another_is_one_trace(dialect: DialectName) -> None:
    seen = Seen()
    async with calling(seen, dialect) as rpc:
        answer = await rpc.request("outer", b"x", res_timeout=5.0)
        await until(lambda: len(seen.named("process outer")) == 1)
    first, second = seen.one("request outer"), seen.one("request inner")
    served, nested = seen.one("process outer"), seen.one("process inner")
    sent = seen.one("send out")
    assert int(answer, 16) == trace_of(first)
    assert first.parent is None
    chain = [first, served, second, nested, sent]
    assert all(is_child(child, parent) for parent, child in pairwise(chain))
    assert [each.kind for each in chain] == [
        SpanKind.CLIENT,
        SpanKind.SERVER,
        SpanKind.CLIENT,
        SpanKind.SERVER,
        SpanKind.PRODUCER,
    ]
    assert {each.status.status_code for each in chain} == {StatusCode.UNSET}
    ids = {about(each)["messaging.message.conversation_id"] for each in chain[:4]}
    assert len(ids) == 1


async def test_a_call_begins_in_the_span_of_its_caller() -> None:
    seen = Seen()
    async with calling(seen) as rpc:
        with seen.tracers.get_tracer("program").start_as_current_span("mine") as mine:
            await rpc.request("inner", b"x", res_timeout=5.0)
    assert is_child(seen.one("request inner"), mine)


async def test_the_status_of_the_server_is_in_both_spans() -> None:
    seen = Seen()
    async with calling(seen) as rpc:
        with pytest.raises(RemoteError):
            await rpc.request("inner", b"bad", res_timeout=5.0)
    for span in (seen.one("request inner"), seen.one("process inner")):
        assert span.status.status_code is StatusCode.ERROR
        assert about(span)["rpc.status_code"] == "not_found"
        assert about(span)["error.type"] == "not_found"


async def test_a_call_that_gets_no_answer_in_time_has_its_error() -> None:
    seen = Seen()
    async with calling(seen) as rpc:
        with pytest.raises((CallTimeout, RemoteError)):
            await rpc.request("inner", b"slow", res_timeout=1.0)
        await until(lambda: seen.named("process inner"))
    called, served = seen.one("request inner"), seen.one("process inner")
    assert called.status.status_code is served.status.status_code is StatusCode.ERROR
    assert trace_of(called) == trace_of(served)


async def test_a_caller_that_goes_away_ends_the_span() -> None:
    seen = Seen()
    async with calling(seen) as rpc:
        with anyio.move_on_after(0.5):
            await rpc.request("inner", b"slow", res_timeout=50.0)
        span = seen.one("request inner")
        assert about(span)["error.type"] == "cancelled"


async def test_calls_at_the_same_time_keep_apart() -> None:
    seen, traces = Seen(), dict[int, int]()

    async def call(rpc: KafkaRPC, number: int) -> None:
        with seen.tracers.get_tracer("program").start_as_current_span("mine") as mine:
            answer = await rpc.request("outer", b"%d" % number, res_timeout=30.0)
        traces[number] = trace_of(mine)
        assert int(answer, 16) == traces[number]

    async with calling(seen) as rpc, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(call, rpc, number)
    assert len(set(traces.values())) == 50
    assert len({id_of(span) for span in seen.named("process inner")}) == 50
