"""Batches that are damaged on a broker's disk, and records that confluent-kafka cannot show."""

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Jump
from sdml_kafka.transport.librdkafka.consumer.adapter import connect
from sdml_kafka.transport.librdkafka.options import consumer_settings
from tests.support.contracts.consumer_world import CALL_S
from tests.support.damaged_batch import damage
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.undecodable_batch import produce_poison

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop, pytest.mark.timeout(60)]


class Reading:
    """What a consumer has read of all its partitions."""

    def __init__(self, consumer: object) -> None:
        self._consumer: object = consumer
        self.seen: dict[TopicPartition, list[int]] = {}
        """The offsets."""
        self.held: dict[TopicPartition, str] = {}
        self.corrupt: list[Jump] = []
        self.jumps: list[Jump] = []
        self.was_let_go = False
        """Whether a partition that was held was not, later."""
        self._assigned: Collection[TopicPartition] = ()

    async def poll(self) -> None:
        polled = await self._consumer.poll(self._assigned, 500, 0.1)  # type: ignore[attr-defined]
        if polled.assignment is not None:
            self._assigned = polled.assignment.positions.keys()
        for partition, records in polled.records.items():
            self.seen.setdefault(partition, []).extend(each.offset for each in records)
        if polled.health is not None:
            self.was_let_go |= bool(self.held.keys() - polled.health.held.keys())
            self.held = dict(polled.health.held)
        self.corrupt += polled.corrupt
        self.jumps += polled.jumps

    async def until_seen(self, offsets: dict[TopicPartition, list[int]]) -> None:
        with anyio.fail_after(20):
            while sum(map(len, self.seen.values())) < sum(map(len, offsets.values())):
                await self.poll()
        assert self.seen == offsets


@asynccontextmanager
async def reading(
    kafka: EmbeddedKafka, topic: str, *, skips_corrupt: bool
) -> AsyncGenerator[Reading]:
    options = {"fetch.wait.max.ms": 50}
    settings = consumer_settings(kafka.bootstrap_servers, unique("group"), "earliest", options)
    async with connect(settings)() as consumer:
        await consumer.start([topic], CALL_S, skips_corrupt=skips_corrupt)
        yield Reading(consumer)


async def test_what_is_damaged_holds_its_own_partition_only(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("damaged"), 3)
    p0, p1, p2 = (TopicPartition(topic, number) for number in range(3))
    for partition in (0, 1, 2):
        await produce(bootstrap, topic, ["a", "b"], partition=partition)
    await produce(bootstrap, topic, ["damaged"] * 5, partition=0)
    await produce_poison(bootstrap, topic, 1)
    for partition in (0, 1, 2):
        await produce(bootstrap, topic, ["behind"], partition=partition)
    damage(embedded_kafka, topic, 0, 4)
    async with reading(embedded_kafka, topic, skips_corrupt=False) as read:
        await read.until_seen({p0: [0, 1], p1: [0, 1], p2: [0, 1, 2]})
        with anyio.fail_after(10):
            while read.held.keys() != {p0, p1}:
                await read.poll()
        assert read.held[p0].startswith("offset 2: ")
        assert "CRC32C" in read.held[p0]
        assert read.held[p1].startswith("offset 2: a header's name does not decode (UnicodeDecode")
        await produce(bootstrap, topic, ["later"], partition=2)
        with anyio.move_on_after(2.5):  # in which it is tried once again
            while True:
                await read.poll()
        assert read.seen == {p0: [0, 1], p1: [0, 1], p2: [0, 1, 2, 3]}
        assert not read.was_let_go
        damage(embedded_kafka, topic, 0, 4)  # which undoes the damage
        await read.until_seen({p0: list(range(8)), p1: [0, 1], p2: [0, 1, 2, 3]})
        with anyio.fail_after(10):
            while read.held.keys() != {p1}:
                await read.poll()
    assert read.corrupt == read.jumps == []


async def test_what_is_damaged_is_skipped_and_no_record_behind_it(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("damaged"), 2)
    p0, p1 = (TopicPartition(topic, number) for number in range(2))
    for count in (2, 300, 1, 7, 3, 1):
        await produce(bootstrap, topic, ["x" * 20] * count, partition=0)
    for offset in (2, 302, 303, 313):
        damage(embedded_kafka, topic, 0, offset)
    await produce_poison(bootstrap, topic, 1, records=3)
    await produce(bootstrap, topic, ["a"], partition=1)
    async with reading(embedded_kafka, topic, skips_corrupt=True) as read:
        await read.until_seen({p0: [0, 1, 310, 311, 312], p1: [3]})
        await produce(bootstrap, topic, ["new"], partition=0)
        await read.until_seen({p0: [0, 1, 310, 311, 312, 314], p1: [3]})
    skipped = [(each.expected, each.position) for each in read.corrupt if each.partition == p0]
    assert skipped == [(2, 302), (302, 303), (303, 310), (313, 314)]
    assert sum(each.lost for each in read.corrupt if each.partition == p1) == 3
    assert read.jumps == []
    assert read.held == {}
