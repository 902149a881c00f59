"""Runs contestants in turn, each in a process of its own, and compares them by ratios.

Absolute figures mean little on a machine that does other things, too. So all contestants take
turns, round after round, and each is compared with the reference of the same round.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from gc import get_stats
from typing import Any

from attrs import asdict, frozen


@frozen
class Sample:
    """The cost of one run of one contestant."""

    seconds: float
    """From the first request for records to the last record."""
    cpu_us: float
    """CPU time of the process for each record, in microseconds, in the same time."""
    collections: float
    """Collections of the youngest generation of the garbage collector, per 100,000 records."""
    max_rss_mb: float
    """The largest memory of the process, in megabytes."""
    first_s: float
    """Seconds from starting the client to the first record."""


class Meter:
    """Measures one run; `stop` prints the sample for the parent process."""

    def __init__(self) -> None:
        """Begin before the client is started."""
        self._entered = time.perf_counter()

    def start(self) -> None:
        """Begin the measured part."""
        self._collections = get_stats()[0]["collections"]
        self._cpu = time.process_time()
        self._began = time.perf_counter()
        self._first = 0.0

    def first(self) -> None:
        """Note that the first record is there."""
        self._first = time.perf_counter()

    def stop(self, records: int) -> Sample:
        """End the measured part."""
        seconds = time.perf_counter() - self._began
        return Sample(
            seconds,
            (time.process_time() - self._cpu) / records * 1e6,
            (get_stats()[0]["collections"] - self._collections) / records * 1e5,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            self._first - self._entered,
        )


def run_child(module: str, *arguments: object) -> Sample:
    """Run one contestant in a process of its own."""
    command = [sys.executable, "-m", module, "--one", *map(str, arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Sample(**json.loads(output))


def print_sample(sample: Sample) -> None:
    """Hand a sample to the parent process."""
    print(json.dumps(asdict(sample)))


@frozen
class Comparison:
    """One contestant beside the reference."""

    case: str
    name: str
    speed: float
    """The median of the ratios of speed, round by round; above 1 is faster than the reference."""
    lowest: float
    highest: float
    best: float
    """The ratio of the fastest rounds, which other load has disturbed least."""
    cpu: float
    """The ratio of CPU time per record; below 1 is cheaper than the reference."""
    memory: float
    """The ratio of the largest memory."""
    cpu_us: float
    collections: float


def compare(case: str, samples: dict[str, list[Sample]]) -> list[Comparison]:
    """Compare every contestant with the first one."""
    reference = next(iter(samples.values()))
    return [_compare(case, name, own, reference) for name, own in samples.items()]


def _compare(
    case: str, name: str, own: Sequence[Sample], reference: Sequence[Sample]
) -> Comparison:
    speeds = [bare.seconds / mine.seconds for mine, bare in zip(own, reference, strict=True)]

    def middle(field: str, of: Sequence[Sample] = own) -> float:
        return float(statistics.median(getattr(sample, field) for sample in of))

    return Comparison(
        case,
        name,
        statistics.median(speeds),
        min(speeds),
        max(speeds),
        min(s.seconds for s in reference) / min(s.seconds for s in own),
        statistics.median(m.cpu_us / b.cpu_us for m, b in zip(own, reference, strict=True)),
        middle("max_rss_mb") / middle("max_rss_mb", reference),
        middle("cpu_us"),
        middle("collections"),
    )


HEADINGS = ("", "speed", "range", "best", "CPU", "memory", "CPU us", "collections")


def table(results: Sequence[Comparison]) -> str:
    """Return the results as a table in Markdown."""
    rows = [HEADINGS, ("---", *["---:"] * (len(HEADINGS) - 1))]
    for case in dict.fromkeys(each.case for each in results):
        rows.append((f"**{case}**", *[""] * (len(HEADINGS) - 1)))
        rows += [_row(each) for each in results if each.case == case]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(each: Comparison) -> tuple[str, ...]:
    return (
        each.name,
        f"{each.speed:.2f}",
        f"{each.lowest:.2f}-{each.highest:.2f}",
        f"{each.best:.2f}",
        f"{each.cpu:.2f}",
        f"{each.memory:.2f}",
        f"{each.cpu_us:.1f}",
        f"{each.collections:.0f}",
    )


def as_json(results: Sequence[Comparison], **about: Any) -> str:
    """Return the results and what they were measured on as JSON."""
    return json.dumps({**about, "results": [asdict(each) for each in results]}, indent=1)
