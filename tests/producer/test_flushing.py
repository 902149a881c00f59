"""The records that a flush of the producer waits for, and those that it does not."""

from contextlib import ExitStack
from random import Random
from typing import Any

import anyio
import pytest

from sdml_kafka import KafkaProducer, NotYet, TopicPartition
from sdml_kafka.producer.cohorts import Cohort, Cohorts
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

P0 = TopicPartition("topic", 0)


def producer_on(broker: MemoryBroker, **options: Any) -> KafkaProducer:
    return KafkaProducer(transport=broker.connect_producer(), **options)


async def took_to_flush(producer: KafkaProducer) -> float:
    began = anyio.current_time()
    with anyio.fail_after(60.0):
        await producer.flush()
    return anyio.current_time() - began


async def test_a_flush_ends_though_records_are_sent_all_the_time() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.slow_down(send_s=1.0)

    async def send_on() -> None:
        while True:
            await producer.send_soon("topic", b"later")
            await anyio.sleep(0.1)

    async with producer_on(broker) as producer, anyio.create_task_group() as tasks:
        given = [await producer.send_soon("topic", b"before") for _ in range(10)]
        tasks.start_soon(send_on)
        assert await took_to_flush(producer) < 2.0
        assert all(each.settled for each in given)
        tasks.cancel_scope.cancel()


async def test_records_may_end_in_any_order() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producer_on(broker, stop_timeout=1.0) as producer:
        broker.hold_sends()
        await producer.send_soon("topic", b"v", timeout_s=10.0)
        await producer.send_soon("topic", b"v", timeout_s=2.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(producer.flush)
            await anyio.sleep(1.0)
            await producer.send_soon("topic", b"v", timeout_s=3.0)
            await producer.send_soon("topic", b"v", timeout_s=60.0)
            began = anyio.current_time()
        assert 9.0 <= anyio.current_time() - began < 9.5


async def test_what_waits_for_room_was_given_before() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.slow_down(send_s=1.0)

    async def send_later() -> None:
        await anyio.sleep(0.1)
        await producer.send("topic", b"3")

    async with (
        producer_on(broker, max_waiting=1) as producer,
        anyio.create_task_group() as tasks,
    ):
        await producer.send_soon("topic", b"1")
        tasks.start_soon(producer.send, "topic", b"2")
        await anyio.sleep(0.1)
        tasks.start_soon(send_later)
        assert 1.5 < await took_to_flush(producer) < 2.5
    assert len(broker.records(P0)) == 3


async def test_so_was_what_waits_for_its_serializer() -> None:
    broker, has_schema = MemoryBroker({"topic": 1}), False

    async def get_schema() -> None:
        nonlocal has_schema
        await anyio.sleep(2.0)
        has_schema = True

    def serialize(value: str) -> bytes:
        if not has_schema:
            raise NotYet("no schema", get_schema)
        return value.encode()

    broker.slow_down(send_s=1.0)
    async with (
        producer_on(broker, serializers={str: serialize}) as producer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(producer.send_soon, "topic", "a")
        await anyio.sleep(0.1)
        assert 2.5 < await took_to_flush(producer) < 3.5
    assert [each.value for each in broker.records(P0)] == [b"a"]


async def test_a_flush_that_is_cancelled_leaves_nothing_behind() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.hold_sends()
    async with producer_on(broker) as producer:
        for _ in range(3):
            await producer.send_soon("topic", b"v")
            with anyio.move_on_after(1.0) as patience:
                await producer.flush()
            assert patience.cancelled_caught
        broker.release_sends()
        assert await took_to_flush(producer) < 1.0
        assert await took_to_flush(producer) == 0.0
        assert producer.status().sent == 3


@pytest.mark.parametrize("seed", range(3))
async def test_each_ends_when_all_that_was_there_has_left_and_not_before(seed: int) -> None:
    """Records come, at once or by a call that waits, and leave in any order."""
    random, cohorts = Random(seed), Cohorts[int]()
    there, calls = dict[int, dict[int, None]](), dict[int, tuple[ExitStack, Cohort[int]]]()
    flushes, ended = list[set[int]](), set[int]()

    def put(number: int, cohort: Cohort[int]) -> None:
        there[number] = table = cohort.by_timeout.setdefault(random.choice((1.0, 2.0)), {})
        table[number] = None

    async def flush(number: int) -> None:
        await cohorts.wait_settled()
        ended.add(number)

    async with anyio.create_task_group() as tasks:
        for step in range(200):
            match random.choice(("send", "send", "leave", "leave", "call", "begin", "flush")):
                case "send":
                    put(step, cohorts.newest)
                case "leave" if there:
                    number = random.choice(list(there))
                    del there.pop(number)[number]
                    cohorts.wake_flushes()
                case "call":
                    stack = ExitStack()
                    calls[step] = stack, stack.enter_context(cohorts.joining())
                case "begin" if calls:
                    number = random.choice(list(calls))
                    stack, cohort = calls.pop(number)
                    put(number, cohort)
                    stack.close()
                case "flush":
                    tasks.start_soon(flush, len(flushes))
                    flushes.append({*there, *calls})
                case _:
                    pass
            await anyio.wait_all_tasks_blocked()
            here = there.keys() | calls.keys()
            assert ended == {at for at, before in enumerate(flushes) if not before & here}
        tasks.cancel_scope.cancel()
    assert len(ended) > 5
