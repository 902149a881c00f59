"""Topics that the broker creates, refuses or loses while a producer sends to them."""

from collections.abc import AsyncGenerator
from itertools import count
from uuid import uuid4

import anyio
import pytest

from sdml_kafka.errors import TopicMissing
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.factory import default_producer_factory
from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.aiokafka_producer_world import AiokafkaWorld, world_of
from tests.support.contracts.producer_world import CALL_S, Outcomes, started
from tests.support.kafka_from_outside import delete_topic, grow_topic, topics_of

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]


async def test_a_topic_that_the_broker_creates_is_waited_for(
    embedded_kafka: EmbeddedKafka, outcomes: Outcomes
) -> None:
    topic = f"created-{uuid4().hex}"
    factory = default_producer_factory(embedded_kafka.bootstrap_servers, {})
    async with started(connect_producer(factory)) as producer:
        for number in range(10):
            producer.send(Message(topic, b"%d" % number, partition=0), outcomes.of(number))
        await outcomes.wait_for(10)
    assert all(reported == [None] for reported in outcomes.reported.values())
    assert list(outcomes.reported) == list(range(10))


async def test_a_topic_that_is_deleted_under_way_is_missing_then(
    world: AiokafkaWorld, topic: str, outcomes: Outcomes
) -> None:
    async with started(world.connect(request_timeout_ms=1000)) as producer:
        producer.send(Message(topic, b""), outcomes.of("before"))
        assert await outcomes.one("before") is None
        await producer.delete_topic(topic, CALL_S)
        for number in range(10):
            producer.send(Message(topic, b""), outcomes.of(number))
        await outcomes.wait_for(11)
    assert {type(error) for number in range(10) for error in outcomes.reported[number]} == {
        TopicMissing
    }


@pytest.mark.parametrize("looked_for", [False, True])
async def test_what_waits_for_a_topic_that_is_gone_is_reported_long_before_aiokafka_gives_up(
    world: AiokafkaWorld, outcomes: Outcomes, caplog: pytest.LogCaptureFixture, *, looked_for: bool
) -> None:
    topic = world.name()
    if not looked_for:  # a producer that starts sees all topics
        await world.create_topic(topic, 2)
    async with started(world.connect()) as producer:
        if looked_for:
            await world.create_topic(topic, 2)
        producer.send(Message(topic, b""), outcomes.of("before"))
        assert await outcomes.one("before") is None
        await delete_topic(world.servers, topic)
        for number in range(10):
            producer.send(Message(topic, b""), outcomes.of(number))
        with anyio.fail_after(13):  # aiokafka itself would hold the records for 15 s
            await outcomes.wait_for(11)
        other = world.name()
        await world.create_topic(other, 1)
        producer.send(Message(other, b""), outcomes.of("after"))
        assert await outcomes.one("after") is None
        await world.create_topic(topic, 2)
        producer.send(Message(topic, b""), outcomes.of("anew"))
        assert await outcomes.one("anew") is None
    reported = {type(error) for number in range(10) for error in outcomes.reported[number]}
    assert reported == {TopicMissing}
    assert len(caplog.records) < 20


class TestWhereTheBrokerCreatesTopics:
    @pytest.fixture
    async def willing(
        self, anyio_backend: object, embedded_kafka: EmbeddedKafka
    ) -> AsyncGenerator[AiokafkaWorld]:
        async with world_of(embedded_kafka) as world:
            yield world

    async def test_one_that_is_sent_to_is_created_and_comes_not_back_once_it_is_deleted(
        self, willing: AiokafkaWorld, outcomes: Outcomes
    ) -> None:
        topics = [willing.name() for _ in range(3)]
        async with started(willing.connect()) as producer:
            for topic in topics:
                producer.send(Message(topic, b""), outcomes.of(topic))
                assert await outcomes.one(topic) is None
                # A lookup of the next topic asks for the metadata of all.
                await delete_topic(willing.servers, topic)
            assert not set(topics) & await topics_of(willing.servers)

    async def test_not_by_a_producer_that_is_not_to(
        self, willing: AiokafkaWorld, outcomes: Outcomes
    ) -> None:
        topic = willing.name()
        async with willing.connect()() as producer:
            await producer.start(CALL_S, creates_topics=False)
            producer.send(Message(topic, b""), outcomes.of(0))
            error = await outcomes.one(0)
            assert topic not in await topics_of(willing.servers)
        assert type(error) is TopicMissing
        assert "whoever reads it has to create it" in str(error)


async def test_no_record_overtakes_those_that_wait_for_a_new_partition(
    world: AiokafkaWorld, outcomes: Outcomes
) -> None:
    topic = world.name()
    await world.create_topic(topic, 1)
    numbers = count()
    async with started(world.connect()) as producer, anyio.create_task_group() as tasks:
        producer.send(Message(topic, b"known", partition=0), outcomes.of("known"))
        assert await outcomes.one("known") is None

        async def send() -> None:
            for number in numbers:
                producer.send(Message(topic, b"%d" % number, partition=1), outcomes.of(number))
                await anyio.sleep(0.002)

        tasks.start_soon(send)
        await grow_topic(world.servers, topic, 2)
        assert await outcomes.one(10) is None
        tasks.cancel_scope.cancel()
        assert await producer.flush(CALL_S)
    values = [int(each.value or b"") for each in await world.records(TopicPartition(topic, 1))]
    assert len(values) > 10
    assert values == sorted(values)
