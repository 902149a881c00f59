"""Measures how fast records are sent, beside batches by hand on bare aiokafka."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from attrs import frozen
from confluent_kafka import Producer

from benchmarks.contest import Children, Column, Comparison, Note, compare
from benchmarks.documents import documents
from benchmarks.event_loops import EVENT_LOOPS, LIBRDKAFKA, LIBRDKAFKA_LOOPS, run_on
from benchmarks.meter import ReadingMeter, ReadingSample
from sdml_kafka import KafkaProducer
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.factory import PRODUCER_DEFAULTS
from sdml_kafka.transport.client_choice import Client
from sdml_kafka.transport.librdkafka import options as librdkafka

AT_ONCE = 1000
"""The number of records that are on their way together."""
KEYS = 1000
WARM_UP = 2 * AT_ONCE

BATCHES, CALLERS = "send_soon", f"{AT_ONCE:,} callers of send"


@frozen
class Case:
    """One case of the benchmark: what is sent, and by which calls."""

    shape: str
    size: int
    keyed: bool
    way: str
    records: int
    partitions: int = 12

    def __str__(self) -> str:
        keys = "keys" if self.keyed else "no keys"
        return f"{self.shape}, {self.size} bytes, {keys}, {self.way}"


CASES = [
    Case(shape, size, keyed, way, 50_000)
    for shape, size in (("flat", 100), ("nested", 512))
    for keyed in (False, True)
    for way in (BATCHES, CALLERS)
]

Record = tuple[bytes, bytes | None]
"""The value and the key of a record."""


def records(case: Case, count: int) -> list[Record]:
    """Return what is sent, made before anything is measured."""
    values = documents(case.shape, case.size, count)
    return [
        (value, b"k-%d" % (number % KEYS) if case.keyed else None)
        for number, value in enumerate(values)
    ]


def batches(sent: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Return what is sent together."""
    return (sent[at : at + AT_ONCE] for at in range(0, len(sent), AT_ONCE))


Send = Callable[[str, Case, Sequence[Record]], Awaitable[None]]
"""Sends records to a topic, and returns when all are acknowledged."""


@asynccontextmanager
async def send_by_hand(bootstrap: str) -> AsyncGenerator[Send]:
    """Send a batch of records, and gather their futures."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, **PRODUCER_DEFAULTS) as producer:

        async def send(topic: str, _: Case, sent: Sequence[Record]) -> None:
            for batch in batches(sent):
                futures = [await producer.send(topic, value, key) for value, key in batch]
                await asyncio.gather(*futures)

        yield send


@asynccontextmanager
async def callers_by_hand(bootstrap: str) -> AsyncGenerator[Send]:
    """Let callers send one record after another, and wait for each."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, **PRODUCER_DEFAULTS) as producer:

        async def send(topic: str, _: Case, sent: Sequence[Record]) -> None:
            await call(lambda value, key: producer.send_and_wait(topic, value, key), sent)

        yield send


@asynccontextmanager
async def produce_by_hand(bootstrap: str) -> AsyncGenerator[Send]:
    """Send a batch of records on librdkafka, and wait for all, which blocks the loop."""
    producer = Producer({"bootstrap.servers": bootstrap, **librdkafka.PRODUCER_DEFAULTS})

    async def send(topic: str, case: Case, sent: Sequence[Record]) -> None:
        partitions = cycle(range(case.partitions))
        for batch in batches(sent):
            for value, key in batch:
                partition = next(partitions) if key is None else -1
                producer.produce(topic, value, key, partition)
            producer.flush()

    yield send


@asynccontextmanager
async def by_producer(bootstrap: str, client: Client = "aiokafka") -> AsyncGenerator[Send]:
    """Send in batches by `send_soon`, or let callers of `send` wait for each."""
    async with KafkaProducer(bootstrap_servers=bootstrap, client=client) as producer:

        async def send(topic: str, case: Case, sent: Sequence[Record]) -> None:
            if case.way == CALLERS:
                await call(lambda value, key: producer.send(topic, value, key=key), sent)
                return
            for batch in batches(sent):
                waiting = [await producer.send_soon(topic, value, key=key) for value, key in batch]
                for each in waiting:
                    await each.sent()

        yield send


async def call(
    send: Callable[[bytes, bytes | None], Awaitable[Any]], sent: Sequence[Record]
) -> None:
    """Let as many callers as records are on their way send all of them."""
    left = iter(sent)

    async def caller() -> None:
        for value, key in left:
            await send(value, key)

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(caller)


CONTESTANTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "batches by hand": ("asyncio", send_by_hand),
    "callers by hand": ("asyncio", callers_by_hand),
    **{f"producer, {loop}": (loop, by_producer) for loop in EVENT_LOOPS},
    f"batches by hand, {LIBRDKAFKA}": ("asyncio", produce_by_hand),
    **{
        f"producer, {loop}, {LIBRDKAFKA}": (loop, partial(by_producer, client="librdkafka"))
        for loop in LIBRDKAFKA_LOOPS
    },
}

COLUMNS = [
    Column("CPU", "cpu_us", ratio=True),
    Column("records/s", "per_s", digits=0, spread=True),
    Column("CPU us", "cpu_us", digits=1),
    Column("collections", "collections", digits=0),
]


@frozen
class Sample:
    """The cost of one run of one contestant."""

    rate: float
    """Records a second."""
    cpu_us: float
    collections: float

    @property
    def per_s(self) -> float:
        """Records a second."""
        return self.rate


async def measured(name: str, bootstrap: str, topic: str, case: Case) -> ReadingSample:
    """Send all records of a case, after some that open connections and find the topic."""
    sent, warm_up = records(case, case.records), records(case, WARM_UP)
    async with CONTESTANTS[name][1](bootstrap) as send:
        await send(topic, case, warm_up)
        meter = ReadingMeter()
        meter.start()
        await send(topic, case, sent)
        return meter.stop(case.records)


def run_one(bootstrap: str, topic: str, case: str, name: str) -> None:
    """Run one contestant in this process, and print its sample."""
    chosen = next(each for each in CASES if str(each) == case)
    run_on(CONTESTANTS[name][0], measured, name, bootstrap, topic, chosen).print()


# -- in the parent process ---------------------------------------------------------------


@asynccontextmanager
async def topic_on(bootstrap: str, topic: str, partitions: int) -> AsyncGenerator[None]:
    """Create a topic, and delete it with what it holds."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        config = {"file.delete.delay.ms": "1000"}
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])
        yield
        await admin.delete_topics([topic])
    finally:
        await admin.close()


async def check_contents(bootstrap: str, topic: str, case: Case) -> None:
    """Check that the topic holds each record once, and has some in every partition."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as client:
        partitions = [TopicPartition(topic, number) for number in range(case.partitions)]
        ends = await client.end_offsets(partitions)
    expected = case.records + WARM_UP
    if sum(ends.values()) != expected or not all(ends.values()):
        raise AssertionError(f"the topic should hold {expected} records, and has {ends}")


async def turn(child: dict[str, Any], bootstrap: str, topic: str, case: Case) -> Sample:
    """Let one contestant send to a topic of its own."""
    async with topic_on(bootstrap, topic, case.partitions):
        run_child = partial(subprocess.run, **child, check=True, stdout=subprocess.PIPE)
        result = ReadingSample(**json.loads((await asyncio.to_thread(run_child)).stdout))
        await check_contents(bootstrap, topic, case)
    return Sample(case.records / result.seconds, result.cpu_us, result.collections)


def run(
    rounds: int, names: Sequence[str], cases: Sequence[Case], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield each case's comparison with batches by hand."""
    children = Children("benchmarks.sending", beside)
    with EmbeddedKafka() as kafka:
        where = kafka.bootstrap_servers
        for case in cases:
            samples: dict[str, list[Sample]] = {name: [] for name in names}
            for round_ in range(rounds):
                for number, name in enumerate(names if round_ % 2 else reversed(names)):
                    topic = f"sending-{CASES.index(case)}-{round_}-{number}"
                    child = children.command(name, where, topic, case)
                    samples[name].append(asyncio.run(turn(child, where, topic, case)))
                note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(str(case), samples, COLUMNS)


if __name__ == "__main__":
    run_one(*sys.argv[2:])
