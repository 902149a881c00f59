"""Measures how soon a client of a thousand partitions reads its first record."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from attrs import frozen

from benchmarks.contest import Children, Column, Comparison, Note, compare
from benchmarks.event_loops import run_on
from benchmarks.meter import Usage
from benchmarks.thousand import CONTESTANTS, PARTITIONS, Client, create
from sdml_kafka.testing import EmbeddedKafka

TOPIC = "start"


@frozen
class Case:
    """What the group has done before: nothing, or committed in each partition."""

    commits: bool

    def __str__(self) -> str:
        return f"1,000 partitions, {'a group with commits' if self.commits else 'a new group'}"


CASES = [Case(False), Case(True)]
COLUMNS = [
    Column("time", "seconds", ratio=True, spread=True),
    Column("CPU", "cpu_s", ratio=True),
    Column("seconds", "seconds", spread=True),
]


__all__ = ["CASES", "COLUMNS", "CONTESTANTS", "run"]


@frozen
class StartSample:
    """The cost of one start."""

    seconds: float
    """From making the client to its first record."""
    cpu_s: float
    """The CPU time of the process meanwhile."""

    @property
    def rate(self) -> float:
        """Starts a second."""
        return 1 / self.seconds


async def measure(client: Client, bootstrap: str, group: str) -> None:
    """Start, and wait for the first record."""
    began, usage = time.perf_counter(), Usage.now()
    async with client(bootstrap, group, TOPIC) as values, aclosing(values):
        await anext(values)
        seconds, used = time.perf_counter() - began, Usage.now().since(usage)
    print(json.dumps({"seconds": seconds, "cpu_s": used.cpu_s}))


async def commit(bootstrap: str, group: str) -> None:
    """Commit the second record of each partition as the next one."""
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False
    ) as consumer:
        partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, 1))


def run(
    rounds: int, names: Sequence[str], cases: Sequence[Case], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield each case's comparison with the loop by hand."""
    children = Children("benchmarks.start", beside)
    with EmbeddedKafka() as kafka:
        bootstrap = kafka.bootstrap_servers
        asyncio.run(create(bootstrap, TOPIC, 2))
        for case in cases:
            samples: dict[str, list[StartSample]] = {name: [] for name in names}
            for round_ in range(rounds):
                for name in names if round_ % 2 else reversed(names):
                    group = f"start-{time.time_ns()}"
                    if case.commits:
                        asyncio.run(commit(bootstrap, group))
                    child = children.command(name, bootstrap, group)
                    output = subprocess.run(**child, check=True, stdout=subprocess.PIPE).stdout
                    samples[name].append(StartSample(**json.loads(output)))
                note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(str(case), samples, COLUMNS)


def run_one(bootstrap: str, group: str, name: str) -> None:
    """Run one contestant in this process."""
    loop, client = CONTESTANTS[name]
    run_on(loop, measure, client, bootstrap, group)


if __name__ == "__main__":
    run_one(*sys.argv[2:])
