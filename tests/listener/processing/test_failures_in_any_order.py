"""Failures that end in any order, at the head, or while the partition is taken away."""

from collections import Counter
from functools import partial
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, TopicPartition
from sdml_kafka.consuming.offsets.offset_map import decode
from sdml_kafka.listener.processing.policies import DeadLetter, Retry
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

DLT = TopicPartition(f"{TOPIC}-dlt", 0)


def frontier(broker: MemoryBroker) -> tuple[int, list[tuple[int, int]]]:
    offset = broker.committed(GROUP, P0) or 0
    return offset, decode(offset, broker.committed_metadata(GROUP, P0) or "")


@pytest.mark.parametrize("order", ["key", "none"])
async def test_two_dead_letters_in_reverse_order(order: Any) -> None:
    broker = broker_with()
    broker.create_topic(DLT.topic)
    for key in (b"a", b"b", b"c"):
        broker.produce(TOPIC, key, partition=0, key=key)

    async def handle(value: str, delivery: Delivery[str]) -> None:
        await anyio.sleep({"a": 10.0, "b": 5.0, "c": 0.0}[value])
        if value != "c":
            raise ValueError(value)

    options: dict[str, Any] = {"order": order, "on_failure": DeadLetter()}
    async with (
        processing_on(broker, auto_commit={"every": 1}) as listener,
        processing(listener, handle, **options),
    ):
        await until(lambda: broker.end_offset(DLT) == 1)
        await anyio.sleep(1.0)
        assert frontier(broker) == (0, [(1, 3)])
        await until(lambda: frontier(broker) == (3, []))
    assert [each.value for each in broker.records(DLT)] == [b"b", b"a"]


async def test_a_failing_record_at_the_head_with_hundreds_finished_behind_it() -> None:
    broker, count = broker_with(), 600
    for number in range(count):
        broker.produce(TOPIC, b"%d" % number, partition=0, key=b"%d" % (number % 50))
    seen = Counter[str]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        seen[value] += 1
        if value == "0":
            raise ValueError(value)

    options: dict[str, Any] = {"order": "key", "on_failure": DeadLetter(), "name": "a"}
    for _ in range(3):  # whoever comes next handles no more than what is stuck
        async with (
            processing_on(broker) as listener,
            processing(listener, handle, **options),
        ):
            await until(lambda: listener.status().processors)
            await until(lambda: listener.status().processors["a"].held)
            await until(lambda: len(seen) == count - count // 50 + 1)
            await listener.commit()
            assert frontier(broker)[0] == 0
    broker.create_topic(DLT.topic)
    async with processing_on(broker) as listener, processing(listener, handle, **options):
        await until(lambda: broker.committed(GROUP, P0) == count)
    assert {value for value, times in seen.items() if times > 1} == {"0"}
    assert [each.value for each in broker.records(DLT)] == [b"0"]
    assert len(seen) == count


async def test_a_retry_that_waits_while_its_partition_is_taken_away() -> None:
    broker = MemoryBroker({TOPIC: 2, DLT.topic: 2})
    for number in range(20):
        broker.produce(TOPIC, b"%d" % number, partition=number % 2, key=b"%d" % (number % 4))
    finished, attempts = Counter[str](), Counter[str]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        attempts[value] += 1
        if value in ("0", "1") and attempts[value] < 2:
            raise ValueError(value)
        finished[value] += 1

    retry = Retry(attempts=9, backoff_s=100.0, max_backoff_s=100.0, jitter=0.0)
    first, second = processing_on(broker), processing_on(broker)
    async with anyio.create_task_group() as tasks, first:
        tasks.start_soon(partial(first.process, str, handle, order="key", retry=retry))
        await until(lambda: sum(finished.values()) == 10)
        began = anyio.current_time()
        async with second:
            tasks.start_soon(partial(second.process, str, handle, order="key", retry=retry))
            await until(lambda: len(finished) == 20)
            assert anyio.current_time() - began < 20.0  # nobody waits for the backoff
    assert set(finished.values()) == {1}
    assert [broker.committed(GROUP, TopicPartition(TOPIC, each)) for each in (0, 1)] == [10, 10]
