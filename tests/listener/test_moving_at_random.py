"""Pauses, seeks and rebalances at random: nothing is lost, and nothing is committed too far."""

import random
from collections import Counter
from contextlib import suppress

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener, SeekFailed, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, P1, TOPIC, broker_with, fill
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

COUNT = 300


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("order", ["partition", "none"])
async def test_pauses_and_rebalances_repeat_nothing_and_lose_nothing(seed: int, order: str) -> None:
    broker, draw = broker_with(*map(str, range(COUNT)), partitions=2), random.Random(seed)
    fill(broker, range(COUNT), partition=1)
    finished, running = Counter[tuple[int, int]](), set[tuple[int, int]]()
    places: list[str | TopicPartition] = [TOPIC, P0, P1]

    async def handle(value: str, delivery: Delivery[str]) -> None:
        at = delivery.record.partition, delivery.record.offset
        assert at not in running
        running.add(at)
        await anyio.sleep(draw.uniform(0, 0.1))
        running.discard(at)
        finished[at] += 1

    listener = processing_on(broker, auto_commit={"interval_s": 0.2})
    async with listener, processing(listener, handle, order=order, concurrency=8):
        while len(finished) < COUNT:
            await anyio.sleep(draw.uniform(0, 0.4))
            what = draw.choice(places)
            match draw.randrange(5):
                case 0 | 1:
                    await listener.pause(what)
                case 2 | 3:
                    await listener.resume(what)
                case _:
                    broker.rebalance(GROUP)
        await listener.resume(TOPIC)
        await until(lambda: broker.committed(GROUP, P0) == broker.committed(GROUP, P1) == COUNT)
        assert listener.status().counters.late_finishes == 0
    assert set(finished.values()) == {1}
    assert len(finished) == 2 * COUNT


@pytest.mark.parametrize("seed", range(8))
async def test_after_seeks_all_behind_the_last_one_is_handled_again(seed: int) -> None:
    broker, draw = broker_with(*map(str, range(COUNT)), partitions=2), random.Random(seed)
    finished, running = list[int](), set[int]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        offset = delivery.record.offset
        assert offset not in running
        running.add(offset)
        try:
            await anyio.sleep(draw.uniform(0, 0.1))
            finished.append(offset)
        finally:
            running.discard(offset)

    async def disturb() -> None:
        while True:
            await anyio.sleep(draw.uniform(0, 3))
            broker.rebalance(GROUP)

    listener = processing_on(broker, auto_commit={"interval_s": 0.2})
    async with listener, processing(listener, handle, order="none", concurrency=8):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(disturb)
            for _ in range(20):
                await anyio.sleep(draw.uniform(0, 0.5))
                target = draw.randrange(COUNT)
                before = len(finished)
                try:
                    await listener.seek(P0, target)
                except SeekFailed:
                    continue
                last, since = target, before
            tasks.cancel_scope.cancel()
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
    assert set(range(last, COUNT)) <= set(finished[since:])


@pytest.mark.parametrize("seed", range(6))
async def test_pauses_and_seeks_while_others_come_and_go_and_only_a_part_moves(seed: int) -> None:
    broker, draw = MemoryBroker({TOPIC: 3}, rebalances="incremental"), random.Random(seed)
    places: list[str | TopicPartition] = [TOPIC, *(TopicPartition(TOPIC, n) for n in range(3))]
    for number in range(3):
        fill(broker, range(COUNT), number)
    running, finished = set[tuple[int, int]](), set[tuple[int, int]]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        at = delivery.record.partition, delivery.record.offset
        assert at not in running
        running.add(at)
        try:
            await anyio.sleep(draw.uniform(0, 0.1))
            finished.add(at)
        finally:
            running.discard(at)

    def member() -> KafkaListener:
        return processing_on(broker, auto_commit={"interval_s": 0.2})

    async def another() -> None:
        async with anyio.create_task_group() as tasks, member() as listener:
            tasks.start_soon(listener.process, str, handle)
            await anyio.sleep(draw.uniform(0.1, 2))

    async with member() as listener, processing(listener, handle, order="none", concurrency=8):
        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                await anyio.sleep(draw.uniform(0, 0.4))
                what = draw.choice(places)
                match draw.randrange(6):
                    case 0 | 1:
                        await listener.pause(what)
                    case 2 | 3:
                        await listener.resume(what)
                    case 4:
                        with suppress(SeekFailed):
                            await listener.seek(what, draw.randrange(COUNT))
                    case _:
                        tasks.start_soon(another)
        await listener.pause(TOPIC)
        await until(lambda: not running)
        for number in range(3):
            await listener.seek(TopicPartition(TOPIC, number), 0)
        finished.clear()
        await listener.resume(TOPIC)
        await until(
            lambda: all(
                broker.committed(GROUP, TopicPartition(TOPIC, n)) == COUNT for n in range(3)
            )
        )
        assert len(finished) == 3 * COUNT
