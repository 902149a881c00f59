"""Measures what hooks cost, for reading and for calls, beside the same without hooks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import calls, reading
from benchmarks.contest import Column, Comparison, Note

CONTESTANTS = reading.OBSERVED
CASES = [*reading.TRACED, *(case for case in calls.CASES if case.payload == "plain")]

COLUMNS = [
    Column("CPU", "cpu_us", ratio=True),
    Column("CPU us", "cpu_us", digits=1),
]


def run(
    rounds: int,
    names: Sequence[str],
    cases: Sequence[reading.Case | calls.Case],
    note: Note,
    beside: Path | None,
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield each case's comparison with the first one."""
    read = [case for case in cases if isinstance(case, reading.Case)]
    yield from reading.run(rounds, names, read, note, beside, COLUMNS)
    called = [case for case in cases if isinstance(case, calls.Case)]
    yield from calls.run(rounds, names, called, note, beside, COLUMNS)
