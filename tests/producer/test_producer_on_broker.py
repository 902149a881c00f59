"""KafkaProducer on a real broker, over each client: places, errors, an outage, leaving."""

from collections import Counter
from typing import Any

import anyio
import pytest

from sdml_kafka import KafkaProducer
from sdml_kafka.errors import (
    AuthorizationFailed,
    ConfigurationError,
    PayloadTooLarge,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.client_choice import Client
from tests.support.guarded_kafka import CLERK, Resource, Right, grant, login, login_of
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.processing_on_broker import records_of
from tests.support.waiting import BUSY_S

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.timeout(180),
    pytest.mark.librdkafka_too,
]


def producer_of(client: Client, bootstrap: str, **options: Any) -> KafkaProducer:
    return KafkaProducer(bootstrap_servers=bootstrap, client=client, **options)


@pytest.mark.uvloop_too
async def test_a_record_is_where_the_acknowledgement_says(
    embedded_kafka: EmbeddedKafka, client: Client
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("orders"), 3)
    async with producer_of(client, bootstrap, serializers={str: str.encode}) as producer:
        waiting = [await producer.send_soon(topic, f"{each}", key=b"k") for each in range(500)]
        last = await producer.send(
            topic, b"last", key=b"k", headers=[("trace", b"1")], partition=2, timestamp_ms=1234
        )
        await producer.flush()
        assert producer.status().waiting == 0
        assert producer.status().client == client
        sent = [await each.sent() for each in waiting]
    records = {(each.partition, each.offset): each for each in await records_of(bootstrap, topic)}
    assert len(records) == 501
    for number, each in enumerate(sent):
        assert each.topic == topic
        assert records[each.partition, each.offset].value == b"%d" % number
        assert records[each.partition, each.offset].timestamp == each.timestamp_ms
    assert (last.partition, last.timestamp_ms) == (2, 1234)
    record = records[2, last.offset]
    assert (record.key, tuple(record.headers)) == (b"k", (("trace", b"1"),))


@pytest.mark.parametrize("partition", [None, 1])
async def test_a_record_may_have_neither_a_key_nor_a_value(
    embedded_kafka: EmbeddedKafka, client: Client, partition: int | None
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("orders"), 2)
    async with producer_of(client, bootstrap) as producer:
        for number in range(3):
            await producer.send(topic, None, headers=[("n", b"%d" % number)], partition=partition)
        waiting = [await producer.send_soon(topic, None, partition=partition) for _ in range(50)]
        await producer.flush()
        assert {(await each.sent()).topic for each in waiting} == {topic}
    records = await records_of(bootstrap, topic)
    assert [(each.key, each.value) for each in records] == [(None, None)] * 53
    if partition is not None:
        assert {each.partition for each in records} == {partition}


async def test_each_error_names_the_topic(strict_kafka: EmbeddedKafka, client: Client) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic, missing = await create_topic(bootstrap, unique("orders"), 1), unique("missing")
    async with producer_of(client, bootstrap) as producer:
        with pytest.raises(TopicMissing, match=missing):
            await producer.send(missing, b"v")
        with pytest.raises(PayloadTooLarge, match=topic):
            await producer.send(topic, b"v" * (2 << 20))
        with pytest.raises(ConfigurationError, match="'a b' cannot be a topic"):
            await producer.send("a b", b"v")
        with pytest.raises(ConfigurationError, match=topic):
            await producer.send(topic, b"v", partition=7)
        assert (await producer.send(topic, b"v")).offset == 0


async def test_a_topic_that_may_not_be_written_to(
    guarded_kafka: EmbeddedKafka, client: Client
) -> None:
    bootstrap = guarded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("orders"), 1, login=login())
    await grant(guarded_kafka, Resource.TOPIC, topic, Right.DESCRIBE)
    await grant(guarded_kafka, Resource.CLUSTER, "kafka-cluster", Right.IDEMPOTENT_WRITE)
    async with producer_of(client, bootstrap, **login_of(client, CLERK)) as producer:
        with pytest.raises(AuthorizationFailed, match=topic):
            await producer.send(topic, b"v")
        await grant(guarded_kafka, Resource.TOPIC, topic, Right.WRITE)
        with anyio.fail_after(30):
            while True:
                try:
                    await producer.send(topic, b"v")
                    break
                except AuthorizationFailed:
                    await anyio.sleep(0.2)


@pytest.mark.one_loop
async def test_a_broker_that_restarts_costs_no_record_and_doubles_none(
    mortal_kafka: EmbeddedKafka, client: Client
) -> None:
    bootstrap, count = mortal_kafka.bootstrap_servers, 2000
    topic = await create_topic(bootstrap, unique("orders"), 2)
    async with producer_of(client, bootstrap, timeout_s=120.0) as producer:

        async def send(first: int) -> None:
            for number in range(first, count, 4):
                await producer.send(topic, b"%d" % number, key=b"%d" % first)
                await anyio.sleep(0.001)

        async with anyio.create_task_group() as tasks:
            for first in range(4):
                tasks.start_soon(send, first)
            await anyio.sleep(0.3)
            await anyio.to_thread.run_sync(mortal_kafka.kill)
            await mortal_kafka.restart_async()
    records = await records_of(bootstrap, topic)
    assert Counter(each.value for each in records) == Counter(b"%d" % each for each in range(count))
    for key in {each.key for each in records}:
        numbers = [int(each.value or b"") for each in records if each.key == key]
        assert numbers == sorted(numbers)


async def test_leaving_with_the_broker_frozen_is_bounded(
    mortal_kafka: EmbeddedKafka, client: Client
) -> None:
    bootstrap = mortal_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("orders"), 1)
    try:
        async with producer_of(client, bootstrap, stop_timeout=2.0) as producer:
            await producer.send(topic, b"v")
            mortal_kafka.freeze()
            with pytest.raises(SendFailed, match=topic) as raised:
                await producer.send(topic, b"v", timeout_s=1.0)
            assert raised.value.in_doubt
            waiting = await producer.send_soon(topic, b"v")
            began = anyio.current_time()
        assert anyio.current_time() - began < 2.0 + BUSY_S
        with pytest.raises(SendFailed):
            await waiting.sent()
    finally:
        mortal_kafka.thaw()
