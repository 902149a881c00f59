"""What the in-memory broker keeps of the records that are produced to its topics."""

from collections import Counter

import anyio
import pytest

from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.memory_group import P0


def test_a_key_stays_in_its_partition_and_the_keyless_go_round(broker: MemoryBroker) -> None:
    keyed = {broker.produce("orders", b"", key=b"customer").partition for _ in range(10)}
    assert len(keyed) == 1

    keyless = Counter(broker.produce("orders", b"").partition for _ in range(10))
    assert keyless == {0: 5, 1: 5}


def test_a_record_is_kept_as_it_was_produced() -> None:
    broker = MemoryBroker({"orders": 1}, clock=lambda: 12.5)
    record = broker.produce("orders", b"value", key=b"key", headers=[("name", b"\xff")])

    assert (record.topic, record.partition, record.offset) == ("orders", 0, 0)
    assert (record.key, record.value, record.headers) == (b"key", b"value", (("name", b"\xff"),))
    assert record.timestamp == 12_500
    assert broker.records(P0) == (record,)
    assert broker.end_offset(P0) == 1


@pytest.mark.anyio
async def test_offsets_may_have_gaps(broker: MemoryBroker) -> None:
    broker.produce("orders", b"before", partition=0)
    broker.skip_offsets(P0, 3)
    broker.produce("orders", b"after", partition=0)
    async with broker.connect("group", auto_offset_reset="earliest")() as consumer:
        await consumer.start(["orders"], 1.0)
        await consumer.poll((), 1, 1.0)

        polled = await consumer.poll([P0], 500, 1.0)

        assert [record.offset for record in polled.records[P0]] == [0, 4]
        assert broker.end_offset(P0) == 5


@pytest.mark.anyio
async def test_partitions_may_be_sent_to_before_those_who_read_notice_them(
    broker: MemoryBroker,
) -> None:
    async with broker.connect("group", auto_offset_reset="latest")() as consumer:
        await consumer.start(["orders"], 1.0)
        await consumer.poll((), 1, 1.0)

        broker.add_partitions("orders", 1, unnoticed_for_s=0.2)
        broker.produce("orders", b"early", partition=2)
        began = anyio.current_time()
        revocation = await consumer.revocation()
        assert anyio.current_time() - began >= 0.19
        revocation.release()
        assigned = await consumer.poll((), 1, 1.0)

        assert assigned.assignment is not None
        assert assigned.assignment.positions[TopicPartition("orders", 2)] == 0
