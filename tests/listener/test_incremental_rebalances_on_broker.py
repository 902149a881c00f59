"""Members over librdkafka join and leave under load: what stays goes on, and none comes twice."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener, TopicPartition, parse_text
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.reports import Revocation
from tests.support.contracts.librdkafka_consumer_world import GroupProtocol, librdkafka_world
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop, pytest.mark.timeout(120)]

PARTITIONS = 4
DRAIN_S = 2.0
WAITING = 100
"""Records of a partition that wait at least, some 2 s of work."""


class Books:
    """Which records were handled, and how many of what stays while the rest was drained."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.handled: Counter[int] = Counter()
        """The number of records of each partition that were handled."""
        self.moving: frozenset[int] = frozenset()
        """The partitions that are being taken from the first member."""
        self.during_drain: list[tuple[int, float]] = []
        self.drained: list[int] = []

    async def by_first(self, value: str, delivery: Delivery[str]) -> None:
        partition = delivery.record.partition
        self.note(value, partition)
        if self.moving and partition not in self.moving:
            self.during_drain.append((partition, anyio.current_time()))
        await anyio.sleep(0.02)
        if partition in self.moving:
            self.drained.append(partition)
            await anyio.sleep(DRAIN_S)

    async def by_second(self, value: str, delivery: Delivery[str]) -> None:
        self.note(value, delivery.record.partition)

    def note(self, value: str, partition: int) -> None:
        self.seen.append(value)
        self.handled[partition] += 1


class Noting:
    """A consumer of which the revocations are noted."""

    def __init__(self, consumer: Any, books: Books) -> None:
        self._consumer = consumer
        self._books = books

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    async def revocation(self) -> Revocation:
        revocation: Revocation = await self._consumer.revocation()
        self._books.moving = frozenset(each.partition for each in revocation.partitions)
        return revocation


def noting(connect: Connect, books: Books) -> Any:
    @asynccontextmanager
    async def open_consumer() -> AsyncGenerator[Noting]:
        async with connect() as consumer:
            yield Noting(consumer, books)

    return open_consumer


@pytest.mark.parametrize("protocol", ["consumer", "cooperative-sticky"])
async def test_what_stays_is_handled_while_the_rest_is_drained(
    embedded_kafka: EmbeddedKafka, protocol: GroupProtocol
) -> None:
    books, sent, is_fed = Books(), 0, True
    async with librdkafka_world(embedded_kafka.bootstrap_servers, protocol) as world:
        topic, group = world.name(), world.name()
        await world.create_topic(topic, PARTITIONS)
        connect = world.connect(group, auto_offset_reset="earliest")

        def member(connect: Any) -> KafkaListener:
            parsers: Any = [{"topics": [topic], "type": str, "parser": parse_text}]
            drain_s = 2 * DRAIN_S
            return KafkaListener(parsers, transport=connect, drain_timeout=drain_s)

        async def feed() -> None:
            nonlocal sent
            made = Counter[int]()
            while is_fed:
                for number in range(PARTITIONS):
                    # So that each has a next one, however long a member takes to join.
                    if made[number] < books.handled[number] + WAITING:
                        values = [b"%d" % each for each in range(sent, sent + WAITING)]
                        await world.produce(TopicPartition(topic, number), *values)
                        sent += WAITING
                        made[number] += WAITING
                await anyio.sleep(0.03)

        async def process(listener: KafkaListener, handle: Any) -> None:
            await listener.process(str, handle, order="partition", concurrency=PARTITIONS)

        async with anyio.create_task_group() as tasks, member(noting(connect, books)) as first:
            tasks.start_soon(feed)
            tasks.start_soon(process, first, books.by_first)
            await until(lambda: len(books.seen) > 20)
            async with anyio.create_task_group() as others, member(connect) as second:
                others.start_soon(process, second, books.by_second)
                await until(lambda: len(second.status().partitions) == PARTITIONS // 2)
                books.moving = frozenset()
            await until(lambda: len(first.status().partitions) == PARTITIONS)
            is_fed = False
            await until(lambda: len(books.seen) >= sent)
            assert first.status().counters.late_finishes == 0
    assert sorted(books.seen, key=int) == [str(number) for number in range(sent)]
    assert books.drained
    times = [at for _, at in books.during_drain]
    assert len({partition for partition, _ in books.during_drain}) == PARTITIONS // 2
    assert times[-1] - times[0] > DRAIN_S / 2, "what stays was held up by the drain"
