"""Measures the memory of a processor behind whose one stuck key a million records are handled."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from attrs import asdict, frozen

from benchmarks.contest import Children, Column, Comparison, Note, compare
from benchmarks.event_loops import run_on
from benchmarks.processing import CONCURRENCY, LOOPS, listener_of
from sdml_kafka import Delivery
from sdml_kafka.testing import EmbeddedKafka

TOPIC = "stuck"
FEW, MANY = 200_000, 1_000_000
KEYS = 1000
CASES = [f"{MANY:,} records of 20 bytes, the first of them stuck"]
CONTESTANTS = {f"process, key, {loop}": loop for loop in LOOPS}
COLUMNS = [
    Column("MB after 200,000", "few_mb", digits=1),
    Column("MB after 1,000,000", "many_mb", digits=1),
    Column("records/s", "rate", digits=0),
    Column("CPU us", "cpu_us", digits=1),
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


def resident_mb() -> float:
    """Return the memory that the process has now."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line) / 1024


async def by_process(bootstrap: str, group: str) -> Sample:
    """Handle all records but the first one, which never ends."""
    memory: dict[int, float] = {}
    ended, seen, began, cpu_s = anyio.Event(), 0, time.perf_counter(), time.process_time()

    async def handle(value: object, delivery: Delivery[object]) -> None:
        nonlocal seen
        if delivery.record.key == b"stuck":
            await anyio.sleep_forever()
        seen += 1
        if seen in (FEW, MANY - 1):
            memory[seen] = resident_mb()
        if seen == MANY - 1:
            ended.set()

    async with listener_of(bootstrap, group, TOPIC) as listener, anyio.create_task_group() as tasks:
        process = partial(listener.process, order="key", concurrency=CONCURRENCY)
        tasks.start_soon(process, dict, handle)
        await ended.wait()
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
        await listener.commit()
        (progress,) = listener.status().partitions.values()
        if progress.committed not in (0, None):
            raise AssertionError("the stuck record is committed")
        tasks.cancel_scope.cancel()
    return Sample(seen / seconds, cpu_s / seen * 1e6, memory[FEW], memory[MANY - 1])


def run_one(bootstrap: str, group: str, name: str) -> None:
    """Run one contestant in this process, and print its sample."""
    print(json.dumps(asdict(run_on(CONTESTANTS[name], by_process, bootstrap, group))))


async def fill(bootstrap: str) -> None:
    """Write the records to one partition, the one with the stuck key first."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=1 << 16) as producer:
        for number in range(MANY):
            key = b"%d" % (number % KEYS) if number else b"stuck"
            await producer.send(TOPIC, b'{"number": %9d}' % number, key)
        await producer.flush()


def run(
    rounds: int, names: Sequence[str], cases: Sequence[str], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield the comparison."""
    children = Children("benchmarks.stuck_key", beside)
    with EmbeddedKafka() as kafka:
        asyncio.run(fill(kafka.bootstrap_servers))
        for case in cases:
            samples: dict[str, list[Sample]] = {name: [] for name in names}
            for round_ in range(rounds):
                for name in names:
                    group = f"stuck-{time.time_ns()}"
                    child: dict[str, Any] = children.command(name, kafka.bootstrap_servers, group)
                    output = subprocess.run(**child, check=True, stdout=subprocess.PIPE).stdout
                    samples[name].append(Sample(**json.loads(output)))
                note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(case, samples, COLUMNS)


if __name__ == "__main__":
    run_one(*sys.argv[2:])
