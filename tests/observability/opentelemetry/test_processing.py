"""The traces of records that are processed, tried again and dead-lettered, on the twin."""

from collections.abc import Sequence

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from sdml_kafka import Batch, DeadLetter, Delivery, Retry, RetryTopics, Send, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.telemetry import Seen, about, id_of, is_child, links_of, trace_of, traceparent
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

OUT, DLT, LATER = "out", f"{TOPIC}-dlt", f"{TOPIC}-retry-5000"


def broker_of(seen: Seen, *values: str) -> tuple[MemoryBroker, list[int]]:
    """Return a broker with records that were sent in spans, and the traces of these."""
    broker, traces = broker_with(), list[int]()
    for topic in (OUT, DLT):
        broker.create_topic(topic)
    for value in values:
        span = seen.span("sender")
        broker.produce(TOPIC, value.encode(), headers=[traceparent(span)])
        traces.append(trace_of(span))
    return broker, traces


def header_in(broker: MemoryBroker, topic: str) -> tuple[str, bytes]:
    (record,) = broker.records(TopicPartition(topic, 0))
    (header,) = [header for header in record.headers if header[0] == "traceparent"]
    return header


def statuses(spans: Sequence[ReadableSpan]) -> list[StatusCode]:
    return [span.status.status_code for span in spans]


async def test_a_handler_has_its_span_and_what_it_returns_is_a_child() -> None:
    seen, inside = Seen(), list[int]()
    broker, (of_record,) = broker_of(seen, "a")

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        await anyio.sleep(1)
        inside.append(trace.get_current_span().get_span_context().span_id)
        return Send(OUT, b"b")

    async with (
        processing_on(broker, hooks=[seen.hook()]) as listener,
        processing(listener, handle, name="bill"),
    ):
        await until(lambda: seen.named("send out"))
    handled, sent = seen.one(f"process {TOPIC}"), seen.one("send out")
    assert id_of(handled) == inside[0]
    assert trace_of(handled) == of_record
    assert about(handled)["sdml_kafka.handler"] == "bill"
    assert is_child(sent, handled)
    assert header_in(broker, OUT) == traceparent(sent)


async def test_a_plain_function_in_a_thread_has_its_span() -> None:
    seen, inside = Seen(), list[int]()
    broker, _ = broker_of(seen, "a")

    def handle(value: str, delivery: Delivery[str]) -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)

    async with (
        processing_on(broker, hooks=[seen.hook()]) as listener,
        processing(listener, handle),
    ):
        await until(lambda: seen.named(f"process {TOPIC}"))
    assert inside == [id_of(seen.one(f"process {TOPIC}"))]


async def test_a_record_that_is_tried_again_in_its_place_is_one_trace() -> None:
    seen = Seen()
    broker, (of_record,) = broker_of(seen, "a")

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError("no")

    options = {"retry": Retry(3, backoff_s=1.0), "on_failure": DeadLetter()}
    async with (
        processing_on(broker, hooks=[seen.hook()]) as listener,
        processing(listener, handle, **options),
    ):
        await until(lambda: seen.named(f"send {DLT}"))
    attempts, letter = seen.named(f"process {TOPIC}"), seen.one(f"send {DLT}")
    assert statuses(attempts) == [StatusCode.ERROR] * 3
    assert [about(each).get("sdml_kafka.attempt") for each in attempts] == [None, 2, 3]
    assert {trace_of(each) for each in (*attempts, letter)} == {of_record}
    assert is_child(letter, attempts[-1])
    assert letter.kind is SpanKind.PRODUCER
    assert header_in(broker, DLT) == traceparent(letter)


async def test_a_record_that_goes_by_way_of_a_retry_topic_is_one_trace() -> None:
    seen = Seen()
    broker, (of_record,) = broker_of(seen, "a")

    async def handle(value: str, delivery: Delivery[str]) -> None:
        if delivery.attempt == 1:
            raise ValueError("no")

    listener = processing_on(broker, hooks=[seen.hook()])
    listener.processor(str, name="bill", retry=RetryTopics(5.0))(handle)
    async with listener:
        await until(lambda: seen.named(f"process {LATER}"))
    first, sent = seen.one(f"process {TOPIC}"), seen.one(f"send {LATER}")
    second = seen.one(f"process {LATER}")
    assert is_child(sent, first)
    assert is_child(second, sent)
    assert trace_of(second) == of_record
    assert statuses([first, sent, second]) == [
        StatusCode.ERROR,
        StatusCode.UNSET,
        StatusCode.UNSET,
    ]


async def test_a_batch_has_links_and_its_dead_letters_stay_in_their_traces() -> None:
    seen = Seen()
    broker, (of_first, of_second) = broker_of(seen, "a", "b")

    async def handle(deliveries: list[Delivery[str]]) -> None:
        deliveries[1].fail(ValueError("b"))

    options = {"batch": Batch(2, 1.0), "on_failure": DeadLetter(), "order": "none"}
    async with (
        processing_on(broker, hooks=[seen.hook()]) as listener,
        processing(listener, handle, **options),
    ):
        await until(lambda: seen.named(f"send {DLT}"))
    batch, letter = seen.one(f"process {TOPIC}"), seen.one(f"send {DLT}")
    assert batch.parent is None
    assert {link.context.trace_id for link in batch.links} == {of_first, of_second}
    assert batch.status.status_code is StatusCode.ERROR
    assert trace_of(letter) == of_second
    assert links_of(letter) == {id_of(batch)}


async def test_a_record_that_does_not_parse_stays_in_its_trace() -> None:
    seen = Seen()
    broker = broker_of(seen)[0]
    span = seen.span("sender")
    broker.produce(TOPIC, b"\xff", headers=[traceparent(span)])

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise AssertionError

    async with (
        processing_on(broker, hooks=[seen.hook()], on_parse_error=DeadLetter()) as listener,
        processing(listener, handle),
    ):
        await until(lambda: seen.named(f"send {DLT}"))
    assert is_child(seen.one(f"send {DLT}"), span)
