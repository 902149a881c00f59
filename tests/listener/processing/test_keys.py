"""Records with no key, with one key for all, or each with its own; and where dead letters go."""

import gc
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, TopicPartition
from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.policies import DeadLetter
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(120)]

COUNT, KEYS = 8_000, 100_000


def alive() -> int:
    gc.collect()
    return sum(isinstance(each, Chunk | Parcel | Job) for each in gc.get_objects())


@pytest.mark.parametrize(
    ("key_of", "count"),
    [
        pytest.param(lambda number: None, COUNT, id="no key"),
        pytest.param(lambda number: b"one", COUNT, id="one key"),
        pytest.param(
            lambda number: b"%d" % number, KEYS, id="100,000 keys", marks=pytest.mark.one_loop
        ),
    ],
)
async def test_memory_is_bounded_whatever_the_keys_are(
    key_of: Callable[[int], bytes], count: int
) -> None:
    broker, done, most = broker_with(), 0, 0
    for number in range(count):
        broker.produce(TOPIC, b"x", partition=0, key=key_of(number))
    before = alive()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        nonlocal done, most
        done += 1
        if done % (count // 10) == 0:
            most = max(most, alive() - before)

    async with (
        processing_on(broker, max_in_flight=500) as listener,
        processing(listener, handle, order="key", concurrency=20),
    ):
        await until(lambda: broker.committed(GROUP, P0) == count)
        (status,) = listener.status().processors.values()
        assert (status.keys, status.queued) == (0, 0)
        assert alive() - before < 50
    assert most < 3 * 500


@pytest.mark.parametrize("null_key", ["free", "partition"])
async def test_records_without_a_key_are_free_or_in_order(null_key: Any) -> None:
    broker = broker_with(*map(str, range(10)))
    running = most = 0

    async def handle(value: str, delivery: Delivery[str]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.1)
        running -= 1

    options: dict[str, Any] = {"order": "key", "null_key": null_key, "concurrency": 5}
    async with processing_on(broker) as listener, processing(listener, handle, **options):
        await until(lambda: listener.status().counters.finished == 10)
    assert most == (5 if null_key == "free" else 1)


@pytest.mark.parametrize(("where", "count"), [("same", 4), ("key", 4), ("same", 2)])
async def test_where_a_dead_letter_goes(where: Any, count: int) -> None:
    dlt = f"{TOPIC}-dlt"
    broker = MemoryBroker({TOPIC: 4, dlt: count, "by-key": count})
    by_key = broker.produce("by-key", b"", key=b"customer").partition
    for partition in range(4):
        broker.produce(TOPIC, b"%d" % partition, partition=partition, key=b"customer")

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError(value)

    policy = DeadLetter(partition=where)
    async with processing_on(broker) as listener, processing(listener, handle, on_failure=policy):
        await until(lambda: listener.status().counters.finished == 4)
    for number in range(4):
        expected = number if where == "same" and number < count else by_key
        letters = broker.records(TopicPartition(dlt, expected))
        assert b"%d" % number in [each.value for each in letters]
