"""Measures what a client of a thousand partitions costs while nothing comes.

Then the parent process writes a record, to see how soon it arrives. Last a second member joins the
group, to see how soon it reads a record of the partitions that it was given.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
from aiokafka import AIOKafkaProducer
from attrs import asdict, frozen

from benchmarks.contest import Children, Column, Comparison, Note, compare
from benchmarks.event_loops import run_on
from benchmarks.meter import Usage, memory_now_mb
from benchmarks.thousand import CONTESTANTS, PARTITIONS, Client, Values, create
from sdml_kafka.testing import EmbeddedKafka

SETTLE_S = 5.0
"""Seconds from the last record until the measured part begins."""
IDLE_S = 30.0


@frozen
class Case:
    """What the topic holds: as many records in each partition."""

    records: int

    def __str__(self) -> str:
        return "1,000 partitions, all read" if self.records else "1,000 empty partitions"


CASES = [Case(0), Case(1)]
COLUMNS = [
    Column("CPU", "cpu_percent", ratio=True, spread=True),
    Column("CPU, % of a core", "cpu_percent", spread=True),
    Column("memory, MB", "memory_mb", digits=0),
    Column("record, ms", "record_ms", digits=1, spread=True),
    Column("second member, s", "join_s", spread=True),
]


@frozen
class IdleSample:
    """The cost of one idle client."""

    cpu_percent: float
    """The share of a core while nothing comes."""
    memory_mb: float
    """The memory of the process then, in megabytes."""
    record_ms: float
    """From writing a record after that to its arrival, in milliseconds."""
    join_s: float
    """Seconds until a second member reads a record of its partitions."""

    @property
    def rate(self) -> float:
        """Idle clients for each core."""
        return 100 / self.cpu_percent


__all__ = ["CASES", "COLUMNS", "CONTESTANTS", "run"]


class Reading:
    """Reads in a task of its own, since a loop that is cut off cannot be gone on with."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._send, self._receive = anyio.create_memory_object_stream[bytes](10 * PARTITIONS)

    async def run(self) -> None:
        """Read until cancelled."""
        async with aclosing(self._values):
            async for value in self._values:
                self._send.send_nowait(value)

    async def next(self) -> bytes:
        """Return the next value."""
        return await self._receive.receive()


async def measure(client: Client, bootstrap: str, group: str, topic: str, records: int) -> None:
    """Read what there is, measure the idle time, and have records written."""
    async with client(bootstrap, group, topic) as values, anyio.create_task_group() as tasks:
        reading = Reading(values)
        tasks.start_soon(reading.run)
        for _ in range(records * PARTITIONS):
            await reading.next()
        await anyio.sleep(SETTLE_S)
        began, usage = time.perf_counter(), Usage.now()
        await anyio.sleep(IDLE_S)
        cpu_s = Usage.now().since(usage).cpu_s
        percent, memory_mb = 100 * cpu_s / (time.perf_counter() - began), memory_now_mb()
        have_written([PARTITIONS // 2])
        written = float(await reading.next())
        record_ms = (time.time() - written) * 1000
        join_s = await join(client, bootstrap, group, topic)
        sample = IdleSample(percent, memory_mb, record_ms, join_s)
        print(json.dumps(asdict(sample)))
        tasks.cancel_scope.cancel()


async def join(client: Client, bootstrap: str, group: str, topic: str) -> float:
    """Return the seconds until a second member reads a record of its partitions."""
    began = time.perf_counter()
    async with client(bootstrap, group, topic) as values, aclosing(values):
        have_written(range(PARTITIONS))
        await anext(values)
        return time.perf_counter() - began


def have_written(partitions: Sequence[int]) -> None:
    """Ask the parent process for a record in each of these partitions."""
    print(json.dumps(list(partitions)), flush=True)


async def run_child(bootstrap: str, topic: str, command: dict[str, Any]) -> IdleSample:
    """Run one contestant in a process of its own, and write what it asks for."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.partitions_for(topic)
        child = await asyncio.create_subprocess_exec(
            *command["args"], env=command["env"], stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        async for line in child.stdout:
            said = json.loads(line)
            if isinstance(said, dict):
                await child.wait()
                return IdleSample(**said)
            for partition in said:
                await producer.send(topic, str(time.time()).encode(), partition=partition)
    raise RuntimeError("A contestant has ended early")


def run(
    rounds: int, names: Sequence[str], cases: Sequence[Case], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield each case's comparison with the loop by hand."""
    children = Children("benchmarks.idle", beside)
    with EmbeddedKafka() as kafka:
        bootstrap = kafka.bootstrap_servers
        for case in cases:
            samples: dict[str, list[IdleSample]] = {name: [] for name in names}
            for round_ in range(rounds):
                for name in names if round_ % 2 else reversed(names):
                    topic = f"idle-{time.time_ns()}"
                    asyncio.run(create(bootstrap, topic, case.records))
                    child = children.command(name, bootstrap, topic, topic, case.records)
                    samples[name].append(asyncio.run(run_child(bootstrap, topic, child)))
                note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(str(case), samples, COLUMNS)


def run_one(bootstrap: str, group: str, topic: str, records: str, name: str) -> None:
    """Run one contestant in this process."""
    loop, client = CONTESTANTS[name]
    run_on(loop, measure, client, bootstrap, group, topic, int(records))


if __name__ == "__main__":
    run_one(*sys.argv[2:])
