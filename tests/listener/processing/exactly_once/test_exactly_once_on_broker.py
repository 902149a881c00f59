"""Members that pass records on exactly once, and are killed, on a real broker.

The long ones: uv run pytest -m soak tests/listener/processing/exactly_once
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from sdml_kafka.testing import EmbeddedKafka
from tests.support.backends import name_of
from tests.support.fleet import Fleet
from tests.support.kafka_from_outside import create_topic, on_asyncio, unique

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(240)]

PARTITIONS, KEYS = 3, 40


class Run:
    """One group that passes on all records of a topic, whatever becomes of its members."""

    def __init__(
        self, bootstrap: str, backend: Any, folder: Path, protocol: str, retry: str = "in place"
    ) -> None:
        self.bootstrap, self.retry = bootstrap, retry
        self.topic, self.output, self.group = unique("once"), unique("once-out"), unique("group")
        self.dead_letters = f"{self.topic}-dlt"
        places = [bootstrap, self.topic, self.output, self.group, protocol, retry]
        arguments = [name_of(backend), *places]
        self.fleet = Fleet("tests.support.exactly_once_member", arguments, folder)
        self.sent = 0

    async def create_topics(self, copies: int = 1) -> None:
        for topic in (self.topic, self.output, self.dead_letters):
            await create_topic(self.bootstrap, topic, PARTITIONS, copies=copies)

    async def feed(self, count: int) -> None:
        """Send records whose values are their numbers."""

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
                for number in range(self.sent, self.sent + count):
                    key = b"%d" % (number % KEYS)
                    await producer.send(self.topic, b"%d" % number, key)

        await on_asyncio(send())
        self.sent += count

    async def read(self, topic: str) -> list[list[int]]:
        """Return the numbers of each partition that readers of committed records see."""

        async def read() -> list[list[int]]:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
            )
            async with consumer:
                places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
                consumer.assign(places)
                found = dict[TopicPartition, list[int]]()
                ends = await consumer.end_offsets(places)
                for place in places:
                    numbers = found.setdefault(place, [])
                    while await consumer.position(place) < ends[place]:
                        records = await consumer.getmany(place, timeout_ms=500)
                        if not records:
                            break  # behind the last stable offset
                        numbers += [int(each.value) for each in records.get(place, ())]
                return list(found.values())

        return await on_asyncio(read())

    async def until_read(self, count: int, within_s: float = 120.0) -> None:
        """Wait until so many records have gone on."""
        with anyio.fail_after(within_s):
            while await self.count() < count:  # noqa: ASYNC110  another process has no event
                await anyio.sleep(0.3)

    async def count(self) -> int:
        numbers = [*await self.read(self.output), *await self.read(self.dead_letters)]
        return sum(map(len, numbers))

    async def judge(self) -> None:
        """Fail unless each record has gone on once, in the order of its key."""
        outputs, dead = await self.read(self.output), await self.read(self.dead_letters)
        seen = Counter(number for numbers in (*outputs, *dead) for number in numbers)
        repeated = {number: times for number, times in seen.items() if times > 1}
        assert repeated == {}, f"of {self.sent}"
        assert len(seen) == self.sent, "records are lost"
        assert {number for numbers in dead for number in numbers if number % 50 == 7} == {
            number for number in range(self.sent) if number % 50 == 7
        }
        for numbers in outputs if self.retry == "in place" else ():
            for key in range(KEYS):
                of_key = [number for number in numbers if number % KEYS == key]
                assert of_key == sorted(of_key)


@pytest.fixture(scope="module")
def kafka() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.mark.one_loop
@pytest.mark.parametrize("protocol", [pytest.param("classic", marks=pytest.mark.soak), "consumer"])
@pytest.mark.parametrize("retry", ["in place", "by topics"])
async def test_a_member_is_killed_in_the_middle(
    kafka: EmbeddedKafka, anyio_backend: Any, tmp_path: Path, protocol: str, retry: str
) -> None:
    run = Run(kafka.bootstrap_servers, anyio_backend, tmp_path, protocol, retry)
    await run.create_topics()
    await run.feed(3000)
    try:
        await run.fleet.join(2)
        await run.until_read(500)
        await run.fleet.kill()
        await run.feed(500)
        await run.until_read(run.sent)
        while len(run.fleet):
            await run.fleet.leave()
    finally:
        run.fleet.close()
    await run.judge()


@pytest.mark.one_loop
async def test_the_only_broker_dies_and_comes_back(
    kafka: EmbeddedKafka, anyio_backend: Any, tmp_path: Path
) -> None:
    """All that librdkafka knows of the cluster is gone at once, in the middle of transactions."""
    run = Run(kafka.bootstrap_servers, anyio_backend, tmp_path, "consumer")
    await run.create_topics()
    await run.feed(3000)
    try:
        await run.fleet.join(2)
        await run.until_read(200)
        kafka.kill(0)
        await anyio.sleep(3)
        await kafka.restart_async(0)
        await run.until_read(run.sent, 90.0)
        while len(run.fleet):
            await run.fleet.leave()
    finally:
        (tmp_path / "logs").write_text(run.fleet.logs())
        run.fleet.close()
    await run.judge()


@pytest.fixture
def cluster() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(nodes=3) as kafka:
        yield kafka


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_members_are_killed_and_frozen_and_brokers_restart(
    cluster: EmbeddedKafka, anyio_backend: Any, tmp_path: Path, protocol: str
) -> None:
    run, chance = Run(cluster.bootstrap_servers, anyio_backend, tmp_path, protocol), Random(6)
    await run.create_topics(copies=3)
    try:
        await run.fleet.join(3)
        for step in range(10):
            await run.feed(2000)
            await anyio.sleep(chance.random())
            match step % 4:
                case 0 | 2:
                    await run.fleet.kill(chance.randrange(len(run.fleet)))
                    await run.fleet.join()
                case 1:  # past its session, while others take its partitions
                    await run.fleet.freeze(chance.randrange(len(run.fleet)), 10.0)
                case _:
                    node = chance.randrange(3)
                    cluster.kill(node)
                    await anyio.sleep(chance.random() * 5)
                    await cluster.restart_async(node)
        await run.until_read(run.sent, 600.0)
        while len(run.fleet):
            await run.fleet.leave()
    finally:
        (tmp_path / "logs").write_text(run.fleet.logs())
        run.fleet.close()
    await run.judge()
