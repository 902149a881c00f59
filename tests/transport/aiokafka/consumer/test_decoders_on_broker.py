"""Records are the same, whether this package or aiokafka decodes them, and so are positions."""

from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer import record_batches
from sdml_kafka.transport.fetched.record import FetchedRecord
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from tests.support.contracts.consumer_world import PATIENCE_S, POLL_S, World, seat, share_out
from tests.support.kafka_from_outside import on_asyncio

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

NAMES = (
    "topic", "partition", "offset", "timestamp", "timestamp_type", "key", "value", "checksum",
    "serialized_key_size", "serialized_value_size", "headers",
)  # fmt: skip


def shown(record: object) -> list[Any]:
    return [getattr(record, name) for name in NAMES]


async def read_by_hand(bootstrap: str, topic: str, count: int) -> list[list[Any]]:
    read: list[list[Any]] = []
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, isolation_level="read_committed", group_id=None,
        auto_offset_reset="earliest",
    ) as consumer:  # fmt: skip
        while len(read) < count:
            read += [shown(await consumer.getone())]
    return read


async def produce(bootstrap: str, topic: str) -> None:
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        async with AIOKafkaProducer(
            bootstrap_servers=bootstrap, compression_type=codec
        ) as producer:
            for number in range(20):
                value = None if number == 7 else b"x" * number
                await producer.send(topic, value, key=b"k", headers=[("h", b"1")], partition=0)


@pytest.mark.parametrize("decoder", ["", "aiokafka"])
async def test_records_and_positions_are_the_same(
    world: World, embedded_kafka: EmbeddedKafka, decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(record_batches.SWITCH, decoder)
    bootstrap, topic = embedded_kafka.bootstrap_servers, world.name()
    await world.create_topic(topic, 1)
    partition = TopicPartition(topic, 0)
    await on_asyncio(produce(bootstrap, topic))
    await world.transact(partition)  # which is aborted
    await world.transact(partition, b"committed")
    expected = await on_asyncio(read_by_hand(bootstrap, topic, 101))

    connect = world.connect(world.name(), auto_offset_reset="earliest", read_committed=True)
    async with seat(connect, topic) as member:
        await share_out(1, member)
        read: list[Record] = []
        position = 0
        with anyio.fail_after(PATIENCE_S):
            while position < expected[-1][2] + 2:  # behind the marker
                polled = await member.consumer.poll([partition], 30, POLL_S)
                read += polled.records.get(partition, ())
                position = polled.positions.get(partition, position)
    assert [shown(record) for record in read] == expected
    assert {type(record) is FetchedRecord for record in read} == {decoder == ""}
