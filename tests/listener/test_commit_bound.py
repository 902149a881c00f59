"""What is committed never passes the lowest unfinished record, whatever happens to the members."""

from random import Random
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener, Restarts, TopicPartition
from sdml_kafka.errors import CommitFailed, ConsumerFailed
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, TOPIC, fill, listener_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

PARTITIONS, RECORDS = 3, 300


class Books:
    """The records that nobody has finished, and the bound that they are for the group's commits."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.unfinished = {number: set(range(RECORDS)) for number in range(PARTITIONS)}

    def finish(self, delivery: Delivery[str]) -> None:
        # Commits and the lowest unfinished only rise, so it is enough to compare before each rise.
        self.check()
        self.unfinished[delivery.record.partition].discard(delivery.record.offset)
        delivery.done()

    def committed(self) -> list[int]:
        partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        return [self._broker.committed(GROUP, partition) or 0 for partition in partitions]

    def check(self) -> None:
        for number, committed in enumerate(self.committed()):
            assert committed <= min(self.unfinished[number], default=RECORDS)


async def work(listener: KafkaListener, books: Books, random: Random) -> None:
    """Finish records out of order, some of them later than any drain, and drop a few."""

    async def handle(delivery: Delivery[str]) -> None:
        await anyio.sleep(random.choice([0.0, 0.01, 0.1, 0.3, 5.0 if random.random() < 0.1 else 0]))
        if random.random() < 0.95:  # a delivery that is dropped is given back
            books.finish(delivery)

    async with anyio.create_task_group() as tasks:
        async for delivery in (await listener.subscribe(str)).deliveries():
            tasks.start_soon(handle, delivery)
            del delivery  # the last one would not count as dropped as long as the loop names it


async def another_member(broker: MemoryBroker, books: Books, random: Random) -> None:
    async with member(broker) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(work, listener, books, random)
        await anyio.sleep(random.uniform(0.1, 2.0))
        tasks.cancel_scope.cancel()


def member(broker: MemoryBroker) -> KafkaListener:
    return listener_on(
        broker,
        auto_commit={"every": 5, "interval_s": 0.2},
        max_in_flight=20,
        drain_timeout=1.0,
        restarts=Restarts(max_restarts=1000),
    )


async def cause_fault(broker: MemoryBroker, books: Books, random: Random) -> None:
    names = list(broker.members(GROUP))
    match random.randrange(6):
        case 0:
            broker.rebalance(GROUP)
        case 1:
            for name in names:
                broker.expel(name, unnoticed_for_s=random.choice([0.0, 1.0]))
        case 2:
            for name in names:  # a failure of a member's first start would come out of entering
                broker.fail_next_poll(ConsumerFailed("ordered"), member=name)
        case 3:
            broker.fail_commits(CommitFailed("ordered"))
        case 4:
            broker.down()
            await anyio.sleep(random.uniform(0.1, 3.0))
            broker.up()
        case _:
            await another_member(broker, books, random)


@pytest.mark.parametrize("rebalances", ["eager", "incremental"])
@pytest.mark.parametrize("seed", range(5))
async def test_through_rebalances_expulsions_crashes_and_outages(
    seed: int, rebalances: Any
) -> None:
    random, broker = Random(seed), MemoryBroker({TOPIC: PARTITIONS}, rebalances=rebalances)
    for number in range(PARTITIONS):
        fill(broker, range(RECORDS), partition=number)
    books = Books(broker)
    async with member(broker) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(work, listener, books, random)
        for _ in range(20):
            await anyio.sleep(random.uniform(0.0, 1.0))
            await cause_fault(broker, books, random)
            books.check()
        # A record that was finished late comes again, so its commit may take a while longer.
        await until(lambda: books.committed() == [RECORDS] * PARTITIONS)
        assert not any(books.unfinished.values())
        tasks.cancel_scope.cancel()
