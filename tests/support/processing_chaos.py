"""Members of one group that process by key, come and go, and are watched from outside."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from random import Random
from typing import Any

import anyio
from aiokafka import AIOKafkaProducer
from attrs import define, field

from sdml_kafka import Delivery, KafkaListener, Record
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import committed, on_asyncio
from tests.support.listener_on_broker import listener_on
from tests.support.waiting import until

Place = tuple[int, int]
"""A partition and an offset."""


async def fill(bootstrap: str, topic: str, count: int, first: int = 0) -> None:
    """Send records with some 20 keys, and some without."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for number in range(first, first + count):
                key = None if number % 10 == 9 else b"k%d" % (number * number % 37)
                await producer.send(topic, b"%d" % number, key=key)

    await on_asyncio(send())


@define
class Watch:
    """Watches what all members do, and notes what must never happen."""

    finished: set[Place] = field(factory=set[Place])
    """The records whose handlers have returned."""
    times: dict[Place, int] = field(factory=lambda: defaultdict[Place, int](int))
    """How often a handler has returned for a record."""
    wrong: list[str] = field(factory=list[str])

    async def sample(self, bootstrap: str, topic: str, group: str) -> None:
        """Compare what is committed with what has finished, again and again."""
        while True:
            for (_, partition), offset in (await committed(bootstrap, group)).items():
                open_ones = (at for at in range(offset) if (partition, at) not in self.finished)
                if (lowest := next(open_ones, None)) is not None:
                    self.wrong.append(f"[{partition}] {offset} is committed, {lowest} unfinished")
            await anyio.sleep(0.05)


class Member:
    """One member: its handler takes a random time, and looks at the order of each key."""

    def __init__(self, listener: KafkaListener, watch: Watch, random: Random) -> None:
        self.listener = listener
        self._watch = watch
        self._random = random
        self._running: set[tuple[int, bytes | None]] = set()
        self._last: dict[tuple[int, bytes | None, int], int] = {}

    async def handle(self, value: str, delivery: Delivery[str]) -> None:
        record = delivery.record
        place = (record.partition, record.offset)
        with self._in_order(record) if record.key is not None else nullcontext():
            if self._random.random() < 0.8:
                await anyio.sleep(self._random.random() ** 4 * 0.05)
        self._watch.finished.add(place)
        self._watch.times[place] += 1

    @contextmanager
    def _in_order(self, record: Record) -> Generator[None]:
        lane = (record.partition, record.key)
        stay = (*lane, self.listener.status().counters.rebalances)
        if lane in self._running:
            self._watch.wrong.append(f"two of {lane} run at once")
        if record.offset <= self._last.get(stay, -1):
            self._watch.wrong.append(f"{record.offset} follows {self._last[stay]} of {lane}")
        self._last[stay] = record.offset
        self._running.add(lane)
        try:
            yield
        finally:
            self._running.discard(lane)


@asynccontextmanager
async def member(
    kafka: EmbeddedKafka, topic: str, group: str, watch: Watch, random: Random, **options: Any
) -> AsyncGenerator[Member]:
    """Run a member as long as the context lasts; leaving it is a planned leave."""
    listener = listener_on(
        kafka,
        topic,
        group_id=group,
        heartbeat_interval_ms=300,
        auto_commit={"every": 50, "interval_s": 0.2},
        **options,
    )
    joined = Member(listener, watch, random)
    async with anyio.create_task_group() as tasks, listener:
        process = partial(listener.process, str, joined.handle, order="key", concurrency=16)
        tasks.start_soon(process)
        yield joined
        # `process` returns once the listener is left.


async def stir(
    kafka: EmbeddedKafka, topic: str, group: str, watch: Watch, seed: int, total: int
) -> None:
    """Let members come and go until all records have finished."""
    random = Random(seed)
    start = partial(member, kafka, topic, group, watch)

    async def come_and_go() -> None:
        while len(watch.finished) < total:
            async with start(Random(random.random())):
                await anyio.sleep(0.5 + random.random())
            await anyio.sleep(random.random())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.sample, kafka.bootstrap_servers, topic, group)
        async with start(Random(random.random())):
            tasks.start_soon(come_and_go)
            await until(lambda: len(watch.finished) == total, within_s=300.0)
        tasks.cancel_scope.cancel()
