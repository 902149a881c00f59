"""Failures, aborts, doubts and rebalances at random: each output is read once, in its key's order.

The readers read committed records; whatever else happens stays inside of the processors.
"""

import random
from collections import Counter
from contextlib import suppress
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, Send, TopicPartition
from sdml_kafka.errors import (
    JoinTimeout,
    ProducerFailed,
    ProducerFenced,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.listener.processing.policies import DeadLetter, Retry, RetryTopics, Transaction
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.exactly_once_on_twin import (
    OUT,
    broker_with_outputs,
    exactly_once_on,
    fill_keyed,
    in_order_of_keys,
    outputs,
)
from tests.support.listener_on_twin import GROUP, TOPIC
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(180)]

COUNT, PARTITIONS, KEYS = 240, 3, 12
DLT = f"{TOPIC}-dlt"
IN_PLACE = Retry(attempts=4, backoff_s=0.1)
BY_TOPICS = RetryTopics(0.2, 1.0, first=Retry(attempts=2, backoff_s=0.1))
ERRORS = (
    TransactionFailed("ordered"),
    TransactionInDoubt("ordered"),
    ProducerFailed("ordered"),
    ProducerFenced("ordered"),
)


class World:
    """Members that come and go, and a broker that has its moods."""

    def __init__(self, seed: int, order: str, rebalances: Any, retry: Retry | RetryTopics) -> None:
        self.draw = random.Random(seed)
        self.order, self.retry = order, retry
        self.broker: MemoryBroker = broker_with_outputs(
            COUNT // 2, KEYS, PARTITIONS, rebalances=rebalances
        )
        self.broker.create_topic(DLT)
        self.tried = Counter[str]()

    async def handle(self, value: str, delivery: Delivery[str]) -> Send | None:
        await anyio.sleep(self.draw.choice((0.0, 0.0, 0.01, 0.3)))
        self.tried[value] += 1
        if int(value) % 10 == 7 or (self.draw.random() < 0.05 and self.tried[value] < 3):
            raise ValueError(value)
        if int(value) % 10 == 3:
            return None
        return Send(OUT.topic, value.encode(), key=delivery.record.key)

    async def member(self, life_s: float) -> None:
        """Process for a while; some members leave, others are cancelled."""
        listener = exactly_once_on(self.broker, auto_commit={"interval_s": 0.3}, drain_timeout=1.0)
        options: dict[str, Any] = {
            "order": self.order,
            "concurrency": 8,
            "retry": self.retry,
            "on_failure": DeadLetter(),
            "exactly_once": Transaction(every=self.draw.choice((1, 5, 50)), interval_s=0.1),
        }
        is_cancelled = self.draw.random() < 0.5
        with suppress(JoinTimeout), anyio.move_on_after(life_s if is_cancelled else None):
            async with listener, anyio.create_task_group() as tasks:
                if not is_cancelled:
                    tasks.cancel_scope.deadline = anyio.current_time() + life_s
                await listener.process(str, self.handle, **options)

    async def disturb(self) -> None:
        """Let something go wrong now and then."""
        broker, draw = self.broker, self.draw
        while True:
            await anyio.sleep(draw.uniform(0.0, 0.6))
            match draw.randrange(9):
                case 0 | 1:
                    broker.rebalance(GROUP)
                case 2 | 3:
                    error = draw.choice(ERRORS)
                    applied = not isinstance(error, TransactionFailed | ProducerFenced)
                    broker.fail_transactions(error, applied=applied and draw.random() < 0.5)
                case 4:
                    broker.fail_producer()
                case 5:
                    broker.hold_transactions()
                    await anyio.sleep(draw.uniform(0.0, 4.0))
                    broker.release_transactions()
                case 6:
                    broker.down()
                    await anyio.sleep(draw.uniform(0.0, 2.0))
                    broker.up()
                case 7:
                    if members := list(broker.members(GROUP)):
                        broker.expel(draw.choice(members), unnoticed_for_s=draw.uniform(0, 1))
                case _:
                    broker.fail_sends(times=1)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 40))]
)
@pytest.mark.parametrize("order", ["key", "partition"])
@pytest.mark.parametrize("rebalances", ["eager", "incremental"])
async def test_each_output_is_read_once_in_the_order_of_its_key(
    rebalances: str, order: str, seed: int
) -> None:
    world = World(seed, order, rebalances, IN_PLACE)
    await go_on_to_the_end(world)
    assert in_order_of_keys(outputs(world.broker), KEYS)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 40))]
)
@pytest.mark.parametrize("rebalances", ["eager", "incremental"])
async def test_each_output_is_read_once_with_retry_topics(rebalances: str, seed: int) -> None:
    world = World(seed, "key", rebalances, BY_TOPICS)
    await go_on_to_the_end(world)
    assert world.broker.end_offset(TopicPartition(f"{TOPIC}-retry-1000", 0)) > 0


async def go_on_to_the_end(world: World) -> None:
    """Disturb members, and check what readers of committed records have seen at the end."""
    broker = world.broker
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.disturb)
        tasks.start_soon(world.member, 30.0)
        for _ in range(8):
            tasks.start_soon(world.member, world.draw.uniform(0.5, 6.0))
            await anyio.sleep(world.draw.uniform(0.0, 2.0))
        fill_keyed(broker, COUNT - COUNT // 2, KEYS, COUNT // 2)
        await anyio.sleep(10.0)
        tasks.cancel_scope.cancel()
    broker.release_transactions()
    broker.up()
    places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    good = [n for n in range(COUNT) if n % 10 not in (3, 7)]
    dead = [n for n in range(COUNT) if n % 10 == 7]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.member, 1000.0)
        await until(
            lambda: all(broker.committed(GROUP, each) == broker.end_offset(each) for each in places)
        )
        await until(lambda: len(outputs(broker, DLT)) >= len(dead), within_s=60.0)
        await until(lambda: len(outputs(broker)) >= len(good), within_s=60.0)
        await anyio.sleep(5.0)  # in which what is repeated would come
        tasks.cancel_scope.cancel()
    assert sorted(map(int, outputs(broker))) == good
    assert sorted(map(int, outputs(broker, DLT))) == dead
