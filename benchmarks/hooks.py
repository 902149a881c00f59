"""Measures what hooks cost: reading, handling and calls, beside the same without hooks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import calls, reading
from benchmarks.contest import Column, Comparison, Note

CONTESTANTS = reading.HANDLING
CALLS = [case for case in calls.CASES if case.payload == "plain"]
CASES = [*reading.TRACED, *reading.HANDLED, *CALLS]

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
    for case in cases:
        parts = rounds, names, note, beside
        yield from _calls(case, *parts) if isinstance(case, calls.Case) else _reads(case, *parts)


def _reads(
    case: reading.Case, rounds: int, names: Sequence[str], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    # Who reads in a loop can make no span by hand, since nobody knows where its body ends.
    here = [name for name in names if case.handled or "by hand" not in name]
    return reading.run(rounds, here, [case], note, beside, COLUMNS)


def _calls(
    case: calls.Case, rounds: int, names: Sequence[str], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    return calls.run(rounds, names, [case], note, beside, COLUMNS)
