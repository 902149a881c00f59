"""How much work it is to send bursts that follow each other, as those of calls and of replies."""

import anyio
import pytest

from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka.producer.delivery_reports import ReportingProducer
from tests.support.contracts.librdkafka_producer_world import LibrdkafkaWorld
from tests.support.contracts.producer_world import PATIENCE_S, Outcomes, started

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

BURSTS, BURST = 30, 40


async def test_a_burst_is_one_request_and_few_reports(
    world: LibrdkafkaWorld, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take_over = ReportingProducer._take_over

    def counted(own: ReportingProducer) -> None:
        taken.append(1)
        take_over(own)

    monkeypatch.setattr(ReportingProducer, "_take_over", counted)
    async with started(world.connect()) as producer:
        for burst in range(BURSTS):
            outcomes = Outcomes()
            for number in range(BURST):
                producer.send(Message(topic, b"%d" % burst), outcomes.of(number))
            await outcomes.wait_for(BURST)
    parts = [await world.records(TopicPartition(topic, number)) for number in range(2)]
    found = [{each.value for each in part} for part in parts]
    # The first ones find out that there is much, and a machine that stands still ends that.
    assert len(found[0] & found[1]) <= BURSTS // 3
    assert min(map(len, found)) >= BURSTS // 4  # they take turns all the same
    assert sum(taken) <= 3 * BURSTS


async def test_single_records_go_to_each_partition_in_turn(
    world: LibrdkafkaWorld, topic: str
) -> None:
    async with started(world.connect()) as producer:
        for number in range(10):
            outcomes = Outcomes()
            producer.send(Message(topic, b"%d" % number), outcomes.of(number))
            await outcomes.wait_for(1)
    assert len(await world.records(TopicPartition(topic, 0))) == 5


async def test_a_topic_that_is_looked_for_among_bursts_of_another_keeps_its_order(
    world: LibrdkafkaWorld, topic: str
) -> None:
    outcomes, number, names = Outcomes(), 0, [world.name() for _ in range(5)]
    for name in names:
        await world.create_topic(name, 1)
    async with started(world.connect()) as producer:
        for name in names:
            for _ in range(20):
                for place in [TopicPartition(topic, 0)] * 20 + [TopicPartition(name, 0)] * 5:
                    value = b"%d" % number
                    message = Message(place.topic, value, partition=0)
                    producer.send(message, outcomes.of(number))
                    number += 1
                await anyio.sleep(0.001)
        assert await producer.flush(PATIENCE_S)
    for name in (topic, *names):
        values = [int(each.value or b"") for each in await world.records(TopicPartition(name, 0))]
        assert values == sorted(values)
        assert len(values) == (2000 if name == topic else 100)
