"""Which dead letters are read, and that reading ends, on the twin."""

import anyio
import pytest

from sdml_kafka import TopicMissing, TopicPartition
from sdml_kafka.dead_letters.reading import open_log, read_newest, read_one
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]

TOPIC = "orders-dlt"


@pytest.fixture
def broker() -> MemoryBroker:
    """Hold `0.0` to `0.4` in partition 0, and so on, of three partitions."""
    broker = MemoryBroker({TOPIC: 3})
    for number in range(15):
        broker.produce(TOPIC, f"{number % 3}.{number // 3}".encode(), partition=number % 3)
    return broker


async def newest(broker: MemoryBroker, most: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    with anyio.fail_after(20):
        async with open_log(broker.connect("none"), TOPIC, 5) as log:
            await read_newest(log, most, lambda record: found.append(record.value))
    return sorted(found, key=lambda value: value or b"")


async def test_the_newest_of_each_partition(broker: MemoryBroker) -> None:
    assert await newest(broker, 2) == [b"0.3", b"0.4", b"1.3", b"1.4", b"2.3", b"2.4"]
    assert len(await newest(broker, 100)) == 15


async def test_what_was_deleted_or_is_no_record_is_passed_over(broker: MemoryBroker) -> None:
    broker.trim(TopicPartition(TOPIC, 0), 4)
    broker.skip_offsets(TopicPartition(TOPIC, 1), 3)
    assert await newest(broker, 4) == [b"0.4", b"1.4", b"2.1", b"2.2", b"2.3", b"2.4"]


async def test_of_many_partitions_a_few_each() -> None:
    broker = MemoryBroker({TOPIC: 100})
    for number in range(100):
        for _ in range(9):
            broker.produce(TOPIC, b"%d" % number, partition=number)
    assert len(await newest(broker, 50)) == 500


async def test_one_by_its_place(broker: MemoryBroker) -> None:
    broker.skip_offsets(TopicPartition(TOPIC, 1), 3)
    broker.trim(TopicPartition(TOPIC, 2), 4)
    with anyio.fail_after(20):
        async with open_log(broker.connect("none"), TOPIC, 5) as log:
            for partition, offset, value in (
                (0, 3, b"0.3"),
                (0, 0, b"0.0"),
                (1, 6, None),
                (2, 1, None),
                (0, 99, None),
                (7, 0, None),
            ):
                found = await read_one(log, TopicPartition(TOPIC, partition), offset)
                assert (found and found.value) == value, (partition, offset)


async def test_a_topic_that_is_missing() -> None:
    with anyio.fail_after(20), pytest.raises(TopicMissing, match="orders-dlt"):
        async with open_log(MemoryBroker({}).connect("none"), TOPIC, 5):
            pass
