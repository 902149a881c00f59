"""A call through two services, whose record is tried again and dead-lettered, is one trace."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from sdml_kafka import (
    Call,
    DeadLetter,
    Delivery,
    KafkaListener,
    KafkaProducer,
    RetryTopics,
    parse_text,
)
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import client_on, server_on
from tests.support.telemetry import Seen, about, is_child, links_of, trace_of
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.fixture(params=["alone", "instrumented", "instrumented, decoded by aiokafka"])
def seen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """What comes out of the SDK, also of the instrumentation of aiokafka if that is there."""
    seen, instrumentor = Seen(), AIOKafkaInstrumentor()
    if "decoded" in request.param:
        monkeypatch.setenv("SDML_KAFKA_DECODER", "aiokafka")
    if request.param != "alone":
        instrumentor.instrument(tracer_provider=seen.tracers)
    yield seen
    if request.param != "alone":
        instrumentor.uninstrument()


def operation(span: ReadableSpan) -> tuple[str, SpanKind, StatusCode]:
    kind = str(about(span)["messaging.operation.name"])
    return kind, span.kind, span.status.status_code


async def test_one_trace(embedded_kafka: EmbeddedKafka, seen: Seen) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    prices = await create_topic(bootstrap, unique("prices"), 1)
    orders = await create_topic(bootstrap, unique("orders"), 1)
    letters = await create_topic(bootstrap, f"{orders}-dlt", 1)
    after = await create_topic(bootstrap, unique("after"), 1)
    later = f"{orders}-retry-500"
    producer = KafkaProducer(bootstrap_servers=bootstrap, hooks=[seen.hook()])

    async def price(value: bytes, call: Call) -> bytes:
        await producer.send(orders, value)
        return b"%032x" % trace.get_current_span().get_span_context().trace_id

    async def bill(value: str, delivery: Delivery[str]) -> None:
        raise ValueError("no")

    def listener(topic: str) -> KafkaListener:
        return KafkaListener(
            [{"topics": [topic], "type": str, "parser": parse_text}],
            bootstrap_servers=bootstrap,
            group_id=unique("billing"),
            auto_offset_reset="earliest",
            hooks=[seen.hook()],
        )

    billing, burying = listener(orders), listener(letters)
    options = {"retry": RetryTopics(0.5), "on_failure": DeadLetter()}
    billing.processor(str, name="bill", **options)(bill)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # a dictionary has no types
    async with (
        producer,
        server_on(embedded_kafka, prices, price, hooks=[seen.hook()]),
        billing,
        burying,
        client_on(embedded_kafka, hooks=[seen.hook()]) as rpc,
    ):
        with seen.tracers.get_tracer("program").start_as_current_span("purchase") as purchase:
            answer = await rpc.request(prices, b"apples", res_timeout=30.0)
        async for value in await burying.subscribe(str):
            assert value == "apples"
            await producer.send(after, b"")
            break
        await until(lambda: seen.named(f"poll {letters}"))
    chain = [
        seen.one("purchase"),
        seen.one(f"request {prices}"),
        seen.one(f"process {prices}"),
        seen.one(f"send {orders}"),
        seen.one(f"process {orders}"),
        seen.one(f"send {later}"),
        seen.one(f"process {later}"),
        seen.one(f"send {letters}"),
        seen.one(f"send {after}"),
    ]
    assert all(is_child(child, parent) for parent, child in pairwise(chain))
    assert trace_of(purchase) == int(answer, 16)
    fine, failed = StatusCode.UNSET, StatusCode.ERROR
    assert [operation(span) for span in chain[1:]] == [
        ("request", SpanKind.CLIENT, fine),
        ("process", SpanKind.SERVER, fine),
        ("send", SpanKind.PRODUCER, fine),
        ("process", SpanKind.CONSUMER, failed),
        ("send", SpanKind.PRODUCER, fine),
        ("process", SpanKind.CONSUMER, failed),
        ("send", SpanKind.PRODUCER, fine),
        ("send", SpanKind.PRODUCER, fine),
    ]
    context = chain[7].get_span_context()
    assert context is not None
    assert links_of(seen.one(f"poll {letters}")) == {context.span_id}
    scopes = {span.instrumentation_scope.name for span in seen.spans if span.instrumentation_scope}
    assert scopes == {"sdml_kafka", "program"}
    assert {about(span)["messaging.destination.partition.id"] for span in chain[3:]} == {"0"}
