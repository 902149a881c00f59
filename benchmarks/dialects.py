"""Measures what calls in the dialects of Spring and NestJS cost, beside those in our own.

The client and the server are this package's on both sides.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import calls
from benchmarks.contest import Comparison, Note

CONTESTANTS = calls.IN_DIALECTS
COLUMNS = calls.COLUMNS
CASES = [case for case in calls.CASES if case.payload == "plain"]


def run(
    rounds: int,
    names: Sequence[str],
    cases: Sequence[calls.Case],
    note: Note,
    beside: Path | None,
) -> Iterator[list[Comparison]]:
    """Let the dialects take turns, and yield each case's comparison with our own."""
    return calls.run(rounds, names, cases, note, beside)
