"""Measures the memory of a client that reads 100,000 records of 10 KB."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.contest import Children, Column, Comparison, Note, compare
from benchmarks.event_loops import run_on
from benchmarks.meter import ReadingMeter, ReadingSample
from benchmarks.reading import CONTESTANTS, Case, fill
from sdml_kafka.testing import EmbeddedKafka

CASES = [Case("nested", 10240, partitions, "json", 100_000) for partitions in (12, 1)]
COLUMNS = [
    Column("largest memory", "max_rss_mb", ratio=True, spread=True),
    Column("MB", "max_rss_mb", digits=0, spread=True),
]

__all__ = ["CASES", "COLUMNS", "CONTESTANTS", "run"]


def run(
    rounds: int, names: Sequence[str], cases: Sequence[Case], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield each case's comparison with the loop by hand."""
    children = Children("benchmarks.memory", beside)
    for case in cases:
        with EmbeddedKafka() as kafka:  # a gigabyte each
            bootstrap = kafka.bootstrap_servers
            asyncio.run(fill(bootstrap, case))
            samples: dict[str, list[ReadingSample]] = {name: [] for name in names}
            for round_ in range(rounds):
                for name in names if round_ % 2 else reversed(names):
                    child = children.command(name, bootstrap, f"memory-{time.time_ns()}", case)
                    output = subprocess.run(**child, check=True, stdout=subprocess.PIPE).stdout
                    samples[name].append(ReadingSample(**json.loads(output)))
                note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(str(case), samples, COLUMNS)


def run_one(bootstrap: str, group: str, case: str, name: str) -> None:
    """Run one contestant in this process, and print its sample."""
    loop, contestant = CONTESTANTS[name]
    chosen = next(each for each in CASES if str(each) == case)
    run_on(loop, contestant, bootstrap, group, chosen, ReadingMeter).print()


if __name__ == "__main__":
    run_one(*sys.argv[2:])
