"""Partitions take turns: none waits behind the backlog of another one."""

from collections import Counter
from collections.abc import Callable

import anyio
import pytest

from sdml_kafka import Delivery, TypeStream
from sdml_kafka.listener.processing.policies import Order, RetryTopics
from sdml_kafka.listener.typed_queue import TURN
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import TOPIC, fill, listener_on
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

PARTITIONS, EACH = 6, 700
WORK_S = 0.02


def backlog() -> MemoryBroker:
    broker = MemoryBroker({TOPIC: PARTITIONS})
    for number in range(EACH):
        for partition in range(PARTITIONS):
            key = b"%d" % (number % 50)
            broker.produce(TOPIC, b"%d" % number, partition=partition, key=key)
    return broker


class Lead:
    """Counts what was handled of each partition, and how far one got ahead of another."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter(dict.fromkeys(range(PARTITIONS), 0))
        self.most = 0

    async def __call__(self, value: str, delivery: Delivery[str]) -> None:
        self.seen[delivery.record.partition] += 1
        self.most = max(self.most, max(self.seen.values()) - min(self.seen.values()))
        await anyio.sleep(WORK_S)


@pytest.mark.parametrize("order", ["key", "none", "partition"])
async def test_no_partition_of_a_backlog_gets_far_ahead(order: Order) -> None:
    lead = Lead()
    async with (
        processing_on(backlog()) as listener,
        processing(listener, lead, order=order, concurrency=32),
    ):
        await until(lambda: lead.seen.total() >= PARTITIONS * EACH - 100)
    assert lead.most <= 4 * TURN


@pytest.mark.parametrize("order", ["key", "none"])
async def test_records_of_a_quiet_partition_do_not_wait_behind_a_backlog(order: Order) -> None:
    broker, sent = MemoryBroker({TOPIC: PARTITIONS}), dict[str, float]()
    fill(broker, ("hot" for _ in range(8000)))
    longest = 0.0

    async def handle(value: str, delivery: Delivery[str]) -> None:
        nonlocal longest
        if value != "hot":
            longest = max(longest, anyio.current_time() - sent.pop(value))
        await anyio.sleep(WORK_S)

    async with (
        processing_on(broker) as listener,
        processing(listener, handle, order=order, concurrency=32),
    ):
        await anyio.sleep(1)
        for number in range(50):
            value = str(number)
            sent[value] = anyio.current_time()
            fill(broker, [value], partition=1 + number % (PARTITIONS - 1))
            await anyio.sleep(0.05)
        await until(lambda: not sent)
    assert longest < 0.5


async def test_retries_that_are_due_do_not_wait_behind_the_backlog() -> None:
    broker, due, latest = backlog(), dict[object, float](), 0.0

    async def handle(value: str, delivery: Delivery[str]) -> None:
        nonlocal latest
        place = delivery.record.partition, value
        if delivery.attempt == 2:
            latest = max(latest, anyio.current_time() - due.pop(place))
            return
        await anyio.sleep(WORK_S)
        if int(value) % 10 == 0:
            due[place] = anyio.current_time() + 1
            raise ValueError("once")

    failed = PARTITIONS * EACH // 10
    async with (
        processing_on(broker) as listener,
        processing(listener, handle, order="key", concurrency=32, retry=RetryTopics(1.0)),
    ):
        await until(lambda: listener.status().counters.finished >= PARTITIONS * EACH + failed)
    assert latest < 0.5


async def loop(stream: TypeStream[str], note: Callable[[int], None]) -> None:
    async for delivery in stream.deliveries():
        async with delivery:
            note(delivery.record.partition)
            await anyio.sleep(WORK_S)


@pytest.mark.parametrize("loops", [1, 3])
async def test_a_stream_takes_its_partitions_in_turn(loops: int) -> None:
    seen, most = Counter(dict.fromkeys(range(PARTITIONS), 0)), 0

    def note(partition: int) -> None:
        nonlocal most
        seen[partition] += 1
        most = max(most, max(seen.values()) - min(seen.values()))

    async with listener_on(backlog()) as listener, anyio.create_task_group() as tasks:
        stream = await listener.subscribe(str)
        for _ in range(loops):
            tasks.start_soon(loop, stream, note)
        await until(lambda: seen.total() > 2000)
        tasks.cancel_scope.cancel()
    assert most <= 4 * TURN
