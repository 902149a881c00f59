"""Records that are held back in rounds keep their order, and none stays behind."""

import anyio
import pytest

from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.librdkafka_producer_world import LibrdkafkaWorld
from tests.support.contracts.producer_world import PATIENCE_S, Outcomes, started

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

BURSTS = [1, 2, 3, 1, 5, 40, 1, 600, 4, 1300, 2, 7, 30, 1] * 3


class Unasked:
    """A sender that need not know that its record was acknowledged."""

    waits_for_ack = False

    def __call__(self, error: Exception | None) -> None:
        assert error is None


async def test_bursts_of_any_size_keep_their_order(world: LibrdkafkaWorld, topic: str) -> None:
    outcomes, number = Outcomes(), 0
    async with started(world.connect()) as producer:
        for burst, count in enumerate(BURSTS):
            for _ in range(count):
                on_sent = outcomes.of(number) if number % 3 else Unasked()
                producer.send(Message(topic, b"%d" % number, partition=0), on_sent)
                number += 1
            await anyio.sleep(0.01 * (burst % 3))
        assert await producer.flush(PATIENCE_S)
    records = await world.records(TopicPartition(topic, 0))
    assert [each.value for each in records] == [b"%d" % each for each in range(number)]
    assert all(reported == [None] for reported in outcomes.reported.values())


async def test_what_nobody_asks_about_does_not_wait_for_what_others_ask(
    world: LibrdkafkaWorld, topic: str
) -> None:
    async with started(world.connect(**{"queue.buffering.max.messages": 20})) as producer:
        for number in range(1000):
            producer.send(Message(topic, b"%d" % number, partition=0), Unasked())
        with anyio.fail_after(PATIENCE_S):
            arrived = await world.records(TopicPartition(topic, 0))
            while len(arrived) < 1000:
                arrived = await world.records(TopicPartition(topic, 0))
    assert [each.value for each in arrived] == [b"%d" % each for each in range(1000)]
