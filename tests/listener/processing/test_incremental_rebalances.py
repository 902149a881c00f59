"""Handlers that run through rebalances which move only a part, in the order of their keys."""

from collections import defaultdict
from random import Random
from typing import Any

import anyio
import pytest

from sdml_kafka import Batch, Delivery, RetryTopics, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, TEXTS, TOPIC
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(120)]

PARTITIONS, KEYS, COUNT = 5, 20, 400


class Books:
    """What handlers of all members have begun and ended, by the key."""

    def __init__(self, draw: Random, longest_s: float) -> None:
        self.ended: dict[bytes, list[int]] = defaultdict(list)
        self.running: dict[bytes, int] = {}
        self.repeated: int = 0
        self._draw = draw
        self._longest_s = longest_s

    async def handle(self, value: str, delivery: Delivery[str]) -> None:
        key, offset = delivery.record.key, delivery.record.offset
        assert key is not None
        assert key not in self.running, "two of a key at once"
        self.running[key] = offset
        try:
            await anyio.sleep(self._draw.uniform(0, self._longest_s))
        finally:
            del self.running[key]
        done = self.ended[key]
        self.repeated += offset in done
        done.append(offset)

    async def handle_batch(self, batch: list[Delivery[str]]) -> None:
        for delivery in batch:
            await self.handle(delivery.value, delivery)

    @property
    def count(self) -> int:
        return sum(map(len, self.ended.values()))


def committed(broker: MemoryBroker) -> int:
    partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    return sum(broker.committed(GROUP, each) or 0 for each in partitions)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"order": "key"}, id="key"),
        pytest.param({"order": "partition"}, id="partition"),
        pytest.param({"order": "key", "batch": Batch(5, 0.1)}, id="batches"),
    ],
)
async def test_members_come_and_go_and_keys_keep_their_order(
    seed: int, options: dict[str, Any]
) -> None:
    broker = MemoryBroker({TOPIC: PARTITIONS}, rebalances="incremental")
    draw = Random(seed)
    books = Books(draw, 0.2)
    handle: Any = books.handle_batch if "batch" in options else books.handle

    async def another() -> None:
        listener = processing_on(broker, auto_commit={"interval_s": 0.1})
        async with anyio.create_task_group() as tasks, listener:

            async def process() -> None:
                await listener.process(str, handle, concurrency=8, **options)

            tasks.start_soon(process)
            await anyio.sleep(draw.uniform(0.2, 3))

    first = processing_on(broker, auto_commit={"interval_s": 0.1})
    async with first, processing(first, handle, concurrency=8, **options):
        async with anyio.create_task_group() as tasks:
            for number in range(COUNT):
                broker.produce(TOPIC, b"%d" % number, key=b"%d" % draw.randrange(KEYS))
                if draw.random() < 0.03:
                    tasks.start_soon(another)
                await anyio.sleep(0.03)
        await until(lambda: committed(broker) == COUNT)
        assert first.status().counters.late_finishes == 0
    assert books.repeated == 0
    assert books.count == COUNT
    assert all(offsets == sorted(offsets) for offsets in books.ended.values())


@pytest.mark.parametrize("seed", range(4))
async def test_members_are_expelled_and_die_and_nothing_is_lost(seed: int) -> None:
    broker = MemoryBroker({TOPIC: PARTITIONS}, rebalances="incremental")
    draw = Random(seed)
    done = set[tuple[int, int]]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        await anyio.sleep(draw.uniform(0, 0.2))
        done.add((delivery.record.partition, delivery.record.offset))

    async def another() -> None:
        with anyio.CancelScope() as scope:
            listener = processing_on(broker, auto_commit={"interval_s": 0.1})
            async with anyio.create_task_group() as tasks, listener:
                tasks.start_soon(listener.process, str, handle)
                await anyio.sleep(draw.uniform(0.2, 3))
                scope.cancel()

    first = processing_on(broker, auto_commit={"interval_s": 0.1}, drain_timeout=0.1)
    async with first, processing(first, handle, concurrency=8, order="key"):
        async with anyio.create_task_group() as tasks:
            for number in range(COUNT):
                broker.produce(TOPIC, b"%d" % number, key=b"%d" % draw.randrange(KEYS))
                match draw.randrange(60):
                    case 0 | 1:
                        tasks.start_soon(another)
                    case 2 if members := sorted(broker.members(GROUP)):
                        broker.expel(draw.choice(members), unnoticed_for_s=draw.choice([0, 1]))
                    case _:
                        pass
                await anyio.sleep(0.03)
        await until(lambda: committed(broker) == COUNT)
    assert len(done) == COUNT


async def test_a_record_that_waits_in_a_retry_topic_is_not_disturbed_by_what_moves() -> None:
    topics = {TOPIC: 2, f"{TOPIC}-retry-2000": 2}
    broker = MemoryBroker(topics, rebalances="incremental")
    attempts: list[float] = []

    async def handle(value: str, delivery: Delivery[str]) -> None:
        attempts.append(anyio.current_time())
        if delivery.attempt == 1:
            raise ValueError(value)

    options: dict[str, Any] = {"retry": RetryTopics(2.0)}
    async with processing_on(broker) as first, processing(first, handle, **options):
        await until(lambda: len(first.status().partitions) == 4)
        broker.produce(TOPIC, b"again", partition=0)
        await until(lambda: len(attempts) == 1)
        async with processing_on(broker, parsers=[TEXTS]):
            await anyio.sleep(1.0)
        await until(lambda: len(attempts) == 2)
        assert attempts[1] - attempts[0] == pytest.approx(2.0, abs=0.3)
