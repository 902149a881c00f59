"""Measures the memory and CPU of a processor with no key, one key for all, and 100,000 keys."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import anyio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from attrs import asdict, frozen

from benchmarks.contest import Children, Column, Comparison, Note, compare
from benchmarks.event_loops import run_on
from benchmarks.processing import CONCURRENCY, LOOPS, PARTITIONS, check_commits, listener_of
from benchmarks.stuck_key import resident_mb
from sdml_kafka import Delivery
from sdml_kafka.testing import EmbeddedKafka

KEYS = 100_000
FEW, MANY = 100_000, 300_000
"""The records after which each key has been there, and all records."""
CASES = [f"{MANY:,} records of 20 bytes, {loop}" for loop in LOOPS]
CONTESTANTS: dict[str, Callable[[int], bytes | None]] = {
    "no key": lambda number: None,
    "one key": lambda number: b"one",
    f"{KEYS:,} keys": lambda number: b"%d" % (number % KEYS),
}
"""The key of each record."""
COLUMNS = [
    Column("CPU", "cpu_us", ratio=True, spread=True),
    Column("CPU us", "cpu_us", digits=1),
    Column("MB after 100,000", "few_mb", digits=1),
    Column("MB after 300,000", "many_mb", digits=1),
    Column("most MB", "most_mb", digits=1),
]


@frozen
class Sample:
    """The cost of one run of one contestant."""

    rate: float
    """Records a second."""
    cpu_us: float
    few_mb: float
    """The resident memory after the first records, in megabytes."""
    many_mb: float
    """The same after all records."""
    most_mb: float
    """The largest memory of the process, in megabytes."""


async def by_process(bootstrap: str, group: str, topic: str) -> Sample:
    """Handle all records, in the order of their keys."""
    memory: dict[int, float] = {}
    ended, seen, began, cpu_s = anyio.Event(), 0, 0.0, 0.0

    async def handle(value: object, delivery: Delivery[object]) -> None:
        nonlocal seen, began, cpu_s
        if not seen:
            began, cpu_s = time.perf_counter(), time.process_time()
        seen += 1
        if seen in (FEW, MANY):
            memory[seen] = resident_mb()
        if seen == MANY:
            ended.set()

    async with listener_of(bootstrap, group, topic) as listener, anyio.create_task_group() as tasks:
        process = partial(listener.process, order="key", concurrency=CONCURRENCY)
        tasks.start_soon(process, dict, handle)
        await ended.wait()
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
        tasks.cancel_scope.cancel()
    most_mb = getrusage(RUSAGE_SELF).ru_maxrss / 1024
    return Sample(seen / seconds, cpu_s / seen * 1e6, memory[FEW], memory[MANY], most_mb)


def run_one(bootstrap: str, group: str, topic: str, case: str, name: str) -> None:
    """Run one contestant in this process, and print its sample."""
    loop = LOOPS[CASES.index(case)]
    print(json.dumps(asdict(run_on(loop, by_process, bootstrap, group, topic))))


def topic_of(name: str) -> str:
    """Return the topic of a contestant."""
    return f"keys-{list(CONTESTANTS).index(name)}"


async def fill(bootstrap: str, name: str) -> None:
    """Write the records of a contestant, those of a key to one partition."""
    topic, key_of = topic_of(name), CONTESTANTS[name]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=1 << 16) as producer:
        for number in range(MANY):
            value, partition = b'{"number": %9d}' % number, number % KEYS % PARTITIONS
            await producer.send(topic, value, key_of(number), partition=partition)
        await producer.flush()


def turn(children: Children, bootstrap: str, case: str, name: str) -> Sample:
    """Let one contestant handle its topic."""
    group = f"keys-{time.time_ns()}"
    child: dict[str, Any] = children.command(name, bootstrap, group, topic_of(name), case)
    output = subprocess.run(**child, check=True, stdout=subprocess.PIPE).stdout
    asyncio.run(check_commits(bootstrap, group, MANY))
    return Sample(**json.loads(output))


def run(
    rounds: int, names: Sequence[str], cases: Sequence[str], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield each event loop's comparison with no key."""
    children = Children("benchmarks.keys", beside)
    with EmbeddedKafka() as kafka:
        for name in CONTESTANTS:
            asyncio.run(fill(kafka.bootstrap_servers, name))
        for case in cases:
            samples: dict[str, list[Sample]] = {name: [] for name in names}
            for round_ in range(rounds):
                for name in names if round_ % 2 else reversed(names):
                    samples[name].append(turn(children, kafka.bootstrap_servers, case, name))
                note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(case, samples, COLUMNS)


if __name__ == "__main__":
    run_one(*sys.argv[2:])
