"""A broker that dies, freezes or refuses what a producer of librdkafka sends."""

import anyio
import pytest

from sdml_kafka.errors import BrokerUnreachable, PayloadTooLarge
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.librdkafka_producer_world import LibrdkafkaWorld
from tests.support.contracts.producer_world import CALL_S, PATIENCE_S, Outcomes, started
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


async def test_a_broker_that_does_not_answer_is_a_clear_error_in_time(
    world: LibrdkafkaWorld,
) -> None:
    await world.go_away()
    try:
        with anyio.fail_after(0.5 + BUSY_S):
            async with world.connect()() as producer:
                with pytest.raises(BrokerUnreachable, match=r"within 0\.5 s"):
                    await producer.start(0.5)
    finally:
        await world.come_back()


async def test_a_record_over_the_limit_of_its_topic_spoils_no_other(
    world: LibrdkafkaWorld, outcomes: Outcomes
) -> None:
    topic = world.name()
    await world.create_topic(topic, 1, **{"max.message.bytes": "5000"})
    async with started(world.connect()) as producer:
        for number in range(300):
            value = bytes(6000) if number in (0, 100, 299) else b"%d" % number
            producer.send(Message(topic, value), outcomes.of(number))
        assert await producer.flush(PATIENCE_S)
    for number in range(300):
        (error,) = outcomes.reported[number]
        if number in (0, 100, 299):
            assert isinstance(error, PayloadTooLarge)
            assert not error.in_doubt
        else:
            assert error is None
    arrived = [each.value for each in await world.records(TopicPartition(topic, 0))]
    expected = [b"%d" % number for number in range(300) if number not in (0, 100, 299)]
    assert sorted(value or b"" for value in arrived) == sorted(expected)


@pytest.mark.one_loop
async def test_a_broker_that_dies_and_comes_back_gets_each_record_once(
    world: LibrdkafkaWorld, topic: str, outcomes: Outcomes
) -> None:
    count = 0
    async with started(world.connect()) as producer:

        async def keep_sending() -> None:
            nonlocal count
            while True:
                for _ in range(20):
                    value = b"%d" % count
                    producer.send(Message(topic, value), outcomes.of(value))
                    count += 1
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_sending)
            tasks.start_soon(producer.watch)
            await outcomes.wait_for(100)
            await anyio.to_thread.run_sync(world.kafka.kill)
            await until(lambda: not producer.connected, CALL_S)
            await anyio.to_thread.run_sync(world.kafka.restart)
            await outcomes.wait_for(count + 100)
            await until(lambda: producer.connected, CALL_S)
            tasks.cancel_scope.cancel()
        assert await producer.flush(PATIENCE_S)
    assert len(outcomes.reported) == count
    assert all(reported == [None] for reported in outcomes.reported.values())
    arrived = [
        each.value or b""
        for number in (0, 1)
        for each in await world.records(TopicPartition(topic, number))
    ]
    assert sorted(arrived) == sorted(b"%d" % number for number in range(count))


async def test_what_waits_for_room_keeps_its_order_and_arrives_once(
    world: LibrdkafkaWorld, topic: str, outcomes: Outcomes
) -> None:
    options = {"queue.buffering.max.messages": 100}
    async with started(world.connect(**options)) as producer:
        for number in range(2000):
            producer.send(Message(topic, b"%d" % number, partition=0), outcomes.of(number))
        assert await producer.flush(PATIENCE_S)
    records = await world.records(TopicPartition(topic, 0))
    assert [each.value for each in records] == [b"%d" % number for number in range(2000)]
    assert all(reported == [None] for reported in outcomes.reported.values())


async def test_a_topic_that_appears_after_it_was_missing_is_found(
    world: LibrdkafkaWorld, outcomes: Outcomes
) -> None:
    topic = world.name()
    async with started(world.connect()) as producer:
        producer.send(Message(topic, b"early"), outcomes.of("early"))
        assert await outcomes.one("early") is not None
        await producer.create_topic(topic, 1, {}, CALL_S)
        producer.send(Message(topic, b"late"), outcomes.of("late"))
        assert await outcomes.one("late") is None
