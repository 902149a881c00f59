"""Measures how fast handlers get through records, beside `getmany` and loops that do it in turn."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from attrs import frozen

from benchmarks.contest import BESIDE, Children, Column, Comparison, Note, compare
from benchmarks.documents import documents
from benchmarks.event_loops import run_on
from benchmarks.meter import ReadingMeter, ReadingSample
from benchmarks.reading import COMMIT_EVERY, consumer
from sdml_kafka import Batch, Delivery, KafkaListener, ParserSpec, TypeStream, parse_json
from sdml_kafka.listener.processing.policies import Order
from sdml_kafka.runtime.waiter import on_trio
from sdml_kafka.testing import EmbeddedKafka

CONCURRENCY = 64
PARTITIONS = 12
KEYS = 4999
"""So many that all handlers nearly always find one that is free."""
MOST_RECORDS = 100_000
SECONDS = 5
"""How long a contestant at its ceiling takes."""
LOOPS = ("asyncio", "uvloop", "trio")
BY_HAND, SERIAL = "getmany by hand, our parser", "serial loop"
BATCH = 500
"""The records of a batch."""
LISTS, BATCHES = f"getmany by hand, lists of {BATCH}", f"process, batches of {BATCH}"
"""The beginning of the names of contestants that parse many records to a list, and do no work."""
AT_ONCE: dict[Order, int] = {
    "partition": min(CONCURRENCY, PARTITIONS),
    "key": CONCURRENCY,
    "none": CONCURRENCY,
}
"""The number of records that are handled at once in each order."""
WAITING = 2000
"""The most records that wait for tasks by hand."""


@frozen
class Case:
    """One case of the benchmark: the time that each record takes."""

    work_ms: int

    def __str__(self) -> str:
        return f"{self.work_ms} ms of work" if self.work_ms else "no work"

    def records(self, at_once: int) -> int:
        """Return the number of records for a contestant that handles so many at once."""
        if not self.work_ms:
            return MOST_RECORDS
        return min(MOST_RECORDS, at_once * SECONDS * 1000 // self.work_ms)

    def ceiling(self, at_once: int) -> float:
        """Return the most records a second that such a contestant can handle."""
        return at_once * 1000 / self.work_ms if self.work_ms else float("inf")


CASES = [Case(0), Case(1), Case(10), Case(100)]


async def by_hand(bootstrap: str, group: str, topic: str, records: int, _: Case) -> ReadingSample:
    """Read by `getmany` and parse, without any other work."""
    meter, seen = ReadingMeter(), 0
    client = consumer(bootstrap, group)
    client.subscribe([topic])
    await client.start()
    while seen < records:
        # What is decoded before the first record is handled would not be measured.
        most = None if seen else 1
        for fetched in (await client.getmany(timeout_ms=200, max_records=most)).values():
            if not seen:
                meter.start()
            for record in fetched:
                parse_json(record)
                seen += 1
    sample = meter.stop(seen)
    await client.stop()
    return sample


async def lists_by_hand(
    bootstrap: str, group: str, topic: str, records: int, _: Case
) -> ReadingSample:
    """Read by `getmany`, and parse to lists as long as a batch, without any other work."""
    meter, seen = ReadingMeter(), 0
    client = consumer(bootstrap, group)
    client.subscribe([topic])
    await client.start()
    while seen < records:
        most = BATCH if seen else 1
        for fetched in (await client.getmany(timeout_ms=200, max_records=most)).values():
            if not seen:
                meter.start()
            seen += len([parse_json(record) for record in fetched])
    sample = meter.stop(seen)
    await client.stop()
    return sample


async def tasks_by_hand(
    bootstrap: str, group: str, topic: str, records: int, case: Case, *, tasks: int
) -> ReadingSample:
    """Read by `getmany`, and parse and work in tasks, which keep no order and finish nothing."""
    meter, seen, ended = ReadingMeter(), 0, asyncio.Event()
    waiting = asyncio.Queue[Any](WAITING)

    async def work() -> None:
        nonlocal seen
        while True:
            parse_json(await waiting.get())
            if case.work_ms:
                await asyncio.sleep(case.work_ms / 1000)
            seen += 1
            if seen == records:
                ended.set()

    async def read() -> None:
        while True:
            for fetched in (await client.getmany(timeout_ms=200, max_records=WAITING)).values():
                for record in fetched:
                    await waiting.put(record)

    client = consumer(bootstrap, group)
    client.subscribe([topic])
    await client.start()
    await waiting.put(await client.getone())
    meter.start()
    running = [asyncio.ensure_future(each) for each in (read(), *(work() for _ in range(tasks)))]
    await ended.wait()
    sample = meter.stop(seen)
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    await client.stop()
    return sample


def listener_of(bootstrap: str, group: str, topic: str) -> KafkaListener:
    """Return a listener that reads a topic from its beginning."""
    spec: ParserSpec[Any] = {"topics": [topic], "type": dict, "parser": parse_json}
    return KafkaListener(
        [spec],
        consumer_factory=lambda: consumer(bootstrap, group),
        auto_commit={"every": COMMIT_EVERY},
    )


def sleep_of_the_loop() -> Callable[[float], Awaitable[Any]]:
    """Return the `sleep` of the library that runs, so that the work costs what it does by hand."""
    if not on_trio():
        return asyncio.sleep
    import trio

    return trio.sleep


async def in_turn(
    bootstrap: str, group: str, topic: str, records: int, case: Case
) -> ReadingSample:
    """Work within a loop over a stream."""
    meter, sleep, seen = ReadingMeter(), sleep_of_the_loop(), 0
    async with listener_of(bootstrap, group, topic) as listener:
        stream: TypeStream[Any] = await listener.subscribe(dict)
        async for _ in stream:
            if not seen:
                meter.start()
            if case.work_ms:
                await sleep(case.work_ms / 1000)
            seen += 1
            if seen == records:
                break
        return meter.stop(seen)


async def by_process(
    bootstrap: str, group: str, topic: str, records: int, case: Case, *, order: Order
) -> ReadingSample:
    """Work in handlers."""
    meter, ended, begun, seen = ReadingMeter(), anyio.Event(), False, 0
    work_s, sleep = case.work_ms / 1000, sleep_of_the_loop()

    async def handle(value: object, delivery: Delivery[object]) -> None:
        nonlocal begun, seen
        if not begun:
            begun = True
            meter.start()
        if work_s:
            await sleep(work_s)
        seen += 1
        if seen == records:
            ended.set()

    async with listener_of(bootstrap, group, topic) as listener, anyio.create_task_group() as tasks:
        process = partial(listener.process, order=order, concurrency=CONCURRENCY)
        tasks.start_soon(process, dict, handle)
        await ended.wait()
        sample = meter.stop(seen)
        tasks.cancel_scope.cancel()
    return sample


async def by_batches(
    bootstrap: str, group: str, topic: str, records: int, _: Case
) -> ReadingSample:
    """Read the values in handlers of batches."""
    meter, ended, seen = ReadingMeter(), anyio.Event(), 0

    async def handle(deliveries: list[Delivery[object]]) -> None:
        nonlocal seen
        if not seen:
            meter.start()
        seen += len([delivery.value for delivery in deliveries])
        if seen == records:
            ended.set()

    async with listener_of(bootstrap, group, topic) as listener, anyio.create_task_group() as tasks:
        batch = Batch(size=BATCH, interval_s=0.2)
        process = partial(listener.process, concurrency=CONCURRENCY, batch=batch)
        tasks.start_soon(process, dict, handle)
        await ended.wait()
        sample = meter.stop(seen)
        tasks.cancel_scope.cancel()
    return sample


Contestant = Callable[[str, str, str, int, Case], Awaitable[ReadingSample]]
CONTESTANTS: dict[str, tuple[str, int, Contestant]] = {
    BY_HAND: ("asyncio", 1, by_hand),
    LISTS: ("asyncio", 1, lists_by_hand),
    **{
        f"{tasks} tasks by hand, {loop}": (loop, tasks, partial(tasks_by_hand, tasks=tasks))
        for loop in ("asyncio", "uvloop")
        for tasks in (AT_ONCE["partition"], CONCURRENCY)
    },
    SERIAL: ("asyncio", 1, in_turn),
    **{
        f"process, {order}, {loop}": (loop, at_once, partial(by_process, order=order))
        for loop in LOOPS
        for order, at_once in AT_ONCE.items()
    },
    **{f"{BATCHES}, {loop}": (loop, 1, by_batches) for loop in LOOPS},
}
"""The event loop of each contestant, how many records it handles at once, and what it does."""

COLUMNS = [
    Column("of the ceiling", "share"),
    Column("records/s", "per_s", digits=0),
    Column("CPU", "cpu_us", ratio=True),
    Column("CPU us", "cpu_us", digits=1),
    Column("collections", "collections", digits=0),
]


@frozen
class Sample:
    """The cost of one run of one contestant."""

    rate: float
    """Records a second."""
    ceiling: float
    """The most records a second that the work leaves."""
    share: float
    """The rate as a part of the ceiling, or of the loop by hand where that is slower."""
    cpu_us: float
    collections: float

    @property
    def per_s(self) -> float:
        """Records a second."""
        return self.rate


def run_one(bootstrap: str, group: str, topic: str, records: str, case: str, name: str) -> None:
    """Run one contestant in this process, and print its sample."""
    loop, _, contestant = CONTESTANTS[name]
    chosen = next(each for each in CASES if str(each) == case)
    run_on(loop, contestant, bootstrap, group, topic, int(records), chosen).print()


# -- in the parent process ---------------------------------------------------------------


async def fill(bootstrap: str, records: int) -> str:
    """Write documents with keys to a topic, unless it is there already, and return its name."""
    topic = f"processing-{records}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if topic in await admin.list_topics():
            return topic
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=1 << 16) as producer:
        for number, value in enumerate(documents("nested", 512, records)):
            key = b"k-%d" % (number // PARTITIONS % KEYS)
            await producer.send(topic, value, key, partition=number % PARTITIONS)
        await producer.flush()
    return topic


async def check_commits(bootstrap: str, group: str, records: int) -> None:
    """Check that so many records are committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        commits = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    committed = sum(each.offset for each in commits.values())
    if committed != records:
        raise AssertionError(f"{committed} of {records} records are committed")


def turn(children: Children, bootstrap: str, case: Case, name: str) -> Sample:
    """Let one contestant handle a topic."""
    plain = name.removesuffix(BESIDE)
    _, at_once, _ = CONTESTANTS[plain]
    records = MOST_RECORDS if plain == BY_HAND else case.records(at_once)
    topic, group = asyncio.run(fill(bootstrap, records)), f"processing-{time.time_ns()}"
    child = children.command(name, bootstrap, group, topic, records, case)
    output = subprocess.run(**child, check=True, stdout=subprocess.PIPE).stdout
    result = ReadingSample(**json.loads(output))
    if "by hand" not in plain:
        # A loop that breaks off has its last record in hand.
        asyncio.run(check_commits(bootstrap, group, records - (plain == SERIAL)))
    ceiling = float("inf") if plain == BY_HAND else case.ceiling(at_once)
    rate = records / result.seconds
    return Sample(rate, ceiling, 1.0, result.cpu_us, result.collections)


def with_shares(samples: dict[str, Sample]) -> Iterator[tuple[str, Sample]]:
    """Yield the samples of a round with their shares of what they could be at most."""
    by_hand = samples.get(BY_HAND)
    for name, sample in samples.items():
        most = min(sample.ceiling, by_hand.rate if by_hand else sample.ceiling)
        share = sample.rate / most if most < float("inf") else 1.0
        yield name, Sample(sample.rate, most, share, sample.cpu_us, sample.collections)


def run(
    rounds: int, names: Sequence[str], cases: Sequence[Case], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield each case's comparison with `getmany` by hand."""
    children = Children("benchmarks.processing", beside)
    with EmbeddedKafka() as kafka:
        for case in cases:
            here = [
                name for name in names if not (case.work_ms and name.startswith((LISTS, BATCHES)))
            ]
            if not here:
                continue
            samples: dict[str, list[Sample]] = {name: [] for name in here}
            for round_ in range(rounds):
                order = here if round_ % 2 else list(reversed(here))
                turns = {
                    name: turn(children, kafka.bootstrap_servers, case, name) for name in order
                }
                for name, sample in with_shares(turns):
                    samples[name].append(sample)
                note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(str(case), samples, COLUMNS)


if __name__ == "__main__":
    run_one(*sys.argv[2:])
