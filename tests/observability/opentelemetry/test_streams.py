"""The traces of loops over streams, on the twin: batches, and what is sent in the body."""

import pytest
from opentelemetry import trace

from sdml_kafka import KafkaListener, KafkaProducer
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, TEXTS, TOPIC, broker_with
from tests.support.telemetry import Seen, about, id_of, is_child, links_of, trace_of, traceparent
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


def broker_of(seen: Seen, *values: str) -> tuple[MemoryBroker, list[trace.Span]]:
    broker, spans = broker_with(), list[trace.Span]()
    broker.create_topic("out")
    for value in values:
        spans.append(seen.span("sender"))
        broker.produce(TOPIC, value.encode(), headers=[traceparent(spans[-1])])
    return broker, spans


def listener_on(broker: MemoryBroker, seen: Seen) -> KafkaListener:
    connect = broker.connect(GROUP, auto_offset_reset="earliest")
    return KafkaListener([TEXTS], transport=connect, hooks=[seen.hook()])


async def test_what_is_delivered_together_is_one_span_with_links() -> None:
    seen = Seen()
    broker, senders = broker_of(seen, "a", "b", "c")
    taken = 0
    async with listener_on(broker, seen) as listener:
        async for _ in await listener.subscribe(str):
            taken += 1
            if taken == 3:
                await listener.commit()
                break
    polls = seen.named(f"poll {TOPIC}")
    assert set().union(*map(links_of, polls)) == set(map(id_of, senders))
    assert seen.named(f"process {TOPIC}") == []
    commits = seen.named(f"commit {TOPIC}")
    assert about(commits[-1])["messaging.consumer.group.name"] == GROUP
    assert links_of(commits[-1]) == set(map(id_of, senders[:2]))  # the third is in hand


async def test_a_commit_has_one_link_to_a_record_that_came_again() -> None:
    seen = Seen()
    broker, senders = broker_of(seen, "a", "b", "c")
    taken = 0
    async with listener_on(broker, seen) as listener:
        stream = await listener.subscribe(str)
        await until(lambda: len(seen.named(f"poll {TOPIC}")) == 1)
        broker.rebalance(GROUP)
        await until(lambda: len(seen.named(f"poll {TOPIC}")) == 2)
        async for delivery in stream.deliveries():
            delivery.done()
            taken += 1
            if taken == 3:
                break
        await listener.commit()
    links = [link.context.span_id for each in seen.named(f"commit {TOPIC}") for link in each.links]
    assert sorted(links) == sorted(map(id_of, senders))


async def test_what_the_body_sends_is_a_child_of_its_record() -> None:
    seen = Seen()
    broker, senders = broker_of(seen, "a", "b")
    sending = KafkaProducer(transport=broker.connect_producer(), hooks=[seen.hook()])
    async with sending as producer, listener_on(broker, seen) as listener:
        async for value in await listener.subscribe(str):
            await producer.send("out", value.encode())
            if value == "b":
                break
        await producer.send("out", b"after the loop")
    first, second, after = seen.named("send out")
    assert is_child(first, senders[0])
    assert is_child(second, senders[1])
    assert after.parent is None


async def test_a_span_of_the_body_goes_before() -> None:
    seen = Seen()
    broker, _ = broker_of(seen, "a")
    sending = KafkaProducer(transport=broker.connect_producer(), hooks=[seen.hook()])
    async with sending as producer, listener_on(broker, seen) as listener:
        async for _ in await listener.subscribe(str):
            with seen.tracers.get_tracer("program").start_as_current_span("mine"):
                await producer.send("out", b"")
            break
    assert is_child(seen.one("send out"), seen.one("mine"))


async def test_the_body_of_a_delivery_has_a_span() -> None:
    seen = Seen()
    broker, (sender,) = broker_of(seen, "a")
    sending = KafkaProducer(transport=broker.connect_producer(), hooks=[seen.hook()])
    async with sending as producer, listener_on(broker, seen) as listener:
        stream = await listener.subscribe(str)
        async for delivery in stream.deliveries():
            async with delivery:
                await producer.send("out", b"")
            break
        assert not trace.get_current_span().get_span_context().is_valid
    body = seen.one(f"process {TOPIC}")
    assert is_child(body, sender)
    assert is_child(seen.one("send out"), body)
    assert trace_of(seen.one("send out")) == trace_of(sender)
