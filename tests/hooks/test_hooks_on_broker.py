"""Hooks see the same on a real Kafka as on the twin."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sdml_kafka import DeadLetter, Delivery, KafkaListener, KafkaProducer, parse_text
from sdml_kafka.observability.prometheus import Collector, Prometheus
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.client_choice import Client
from tests.support.clients import arguments
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.processing_on_broker import records_of
from tests.support.rpc_on_broker import client_on, reverse, server_on
from tests.support.seeing_hook import SeeingHook
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.librdkafka_too]


async def test_a_record_from_its_producer_to_its_dead_letter(
    embedded_kafka: EmbeddedKafka, client: Client
) -> None:
    bootstrap, hook, registry = embedded_kafka.bootstrap_servers, SeeingHook(), CollectorRegistry()
    topic = await create_topic(bootstrap, unique("orders"), 1)
    letters = await create_topic(bootstrap, f"{topic}-dlt", 1)

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError(value)

    listener = KafkaListener(
        [{"topics": [topic], "type": str, "parser": parse_text}],
        bootstrap_servers=bootstrap,
        group_id=unique("group"),
        hooks=[hook, Prometheus(registry)],
        **arguments(auto_offset_reset="earliest"),
    )
    listener.processor(str, name="bills", on_failure=DeadLetter())(handle)
    producer = KafkaProducer(bootstrap_servers=bootstrap, hooks=[hook], **arguments())
    async with producer, listener:
        sent = await producer.send(topic, b"bad")
        await until(lambda: len(hook.of("dead_lettered")) == 1, 60.0)
        await listener.commit()
        registry.register(Collector(listener))
        text = generate_latest(registry).decode()
    own, letter = hook.outcomes
    assert (own[0].purpose, own[0].offset, own[1]) == ("send", sent.offset, None)
    assert (letter[0].purpose, letter[0].topic, letter[1]) == ("dead letter", letters, None)
    assert (letter[0].partition, letter[0].offset) == (0, 0)
    (record,) = await records_of(bootstrap, letters)
    assert dict(record.headers)["seen"] == b"2"  # in place of the header that it came with
    assert [event.partition for event in hook.of("assigned")[0].partitions] == [0]
    assert [record.value for event in hook.of("delivered") for record in event.records] == [b"bad"]
    assert [(event.count, event.last_offset) for event in hook.of("finished")] == [(1, 0)]
    assert hook.of("committed")[-1].offsets == {(topic, 0): 1}
    assert hook.of("drained")[-1].is_leaving
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    found = {each.name: each.value for each in samples if each.labels.get("processor") == "bills"}
    assert found["sdml_kafka_dead_letters_total"] == 1


async def test_a_call(embedded_kafka: EmbeddedKafka, client: Client) -> None:
    bootstrap, calling, serving = embedded_kafka.bootstrap_servers, SeeingHook(), SeeingHook()
    topic = await create_topic(bootstrap, unique("requests"), 1)
    async with (
        server_on(embedded_kafka, topic, reverse, hooks=[serving]),
        client_on(embedded_kafka, hooks=[calling]) as rpc,
    ):
        assert await rpc.request(topic, b"ab", res_timeout=20.0) == b"ba"
        await until(lambda: len(calling.outcomes) == len(serving.outcomes) == 1, 20.0)
    assert [event.outcome for event in calling.of("call_settled")] == ["ok"]
    assert [event.topic for event in calling.of("call_begun")] == [topic]
    assert [event.status for event in serving.of("request_handled")] == ["ok"]
    ((request, error),) = calling.outcomes
    assert (request.purpose, request.partition, error) == ("request", 0, None)
    ((reply, _),) = serving.outcomes
    assert reply.handling is serving.handlings[0][0]
