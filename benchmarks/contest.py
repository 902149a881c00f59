"""Compares contestants that have taken turns, by ratios.

Absolute figures mean little on a machine that does other things, too. So all contestants take
turns, round after round, and each is compared with the reference of the same round.
"""

import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from attrs import asdict, frozen

Note = Callable[[str], None]
"""Shows progress."""


class Rated(Protocol):
    """The cost of one turn of one contestant."""

    @property
    def rate(self) -> float:
        """The speed, in any unit; more is faster."""
        ...


@frozen
class Column:
    """A column of the table, made of one field of the samples."""

    heading: str
    field: str
    ratio: bool = False
    """Whether the figure is shown beside the reference of the same round."""
    digits: int = 2
    spread: bool = False
    """Whether the lowest and the highest round are shown as well."""


@frozen
class Figure:
    """The median of several rounds, and the range."""

    median: float
    lowest: float
    highest: float

    def text(self, digits: int, *, spread: bool) -> str:
        """Return the figure as a cell of the table."""
        median = f"{self.median:.{digits}f}"
        if not spread:
            return median
        return f"{median} ({self.lowest:.{digits}f}-{self.highest:.{digits}f})"


@frozen
class Comparison:
    """One contestant beside the reference."""

    case: str
    name: str
    speed: Figure
    """The ratios of speed, round by round; above 1 is faster than the reference."""
    best: float
    """The ratio of the fastest rounds, which other load has disturbed least."""
    figures: Mapping[str, Figure]
    """The other columns, by their headings."""


def compare[S: Rated](
    case: str, samples: Mapping[str, Sequence[S]], columns: Sequence[Column]
) -> list[Comparison]:
    """Compare every contestant with the first one."""
    reference = next(iter(samples.values()))
    return [
        Comparison(
            case,
            name,
            _figure(own, reference, "rate", ratio=True),
            max(s.rate for s in own) / max(s.rate for s in reference),
            {c.heading: _figure(own, reference, c.field, ratio=c.ratio) for c in columns},
        )
        for name, own in samples.items()
    ]


def _figure(own: Sequence[Any], reference: Sequence[Any], field: str, *, ratio: bool) -> Figure:
    numbers = [float(getattr(sample, field)) for sample in own]
    if ratio:
        beside = [float(getattr(sample, field)) for sample in reference]
        numbers = [n / b if b else 1.0 for n, b in zip(numbers, beside, strict=True)]
    return Figure(statistics.median(numbers), min(numbers), max(numbers))


def table(results: Sequence[Comparison], columns: Sequence[Column]) -> str:
    """Return the results as a table in Markdown."""
    headings = ("", "speed", "best", *(column.heading for column in columns))
    rows = [headings, ("---", *["---:"] * (len(headings) - 1))]
    for case in dict.fromkeys(each.case for each in results):
        rows.append((f"**{case}**", *[""] * (len(headings) - 1)))
        rows += [_row(each, columns) for each in results if each.case == case]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(each: Comparison, columns: Sequence[Column]) -> tuple[str, ...]:
    return (
        each.name,
        each.speed.text(2, spread=True),
        f"{each.best:.2f}",
        *(each.figures[c.heading].text(c.digits, spread=c.spread) for c in columns),
    )


def as_json(results: Sequence[Comparison], **about: Any) -> str:
    """Return the results and what they were measured on as JSON."""
    return json.dumps({**about, "results": [asdict(each) for each in results]}, indent=1)


BESIDE = ", other checkout"
"""The end of the name of a contestant that runs the package of another checkout."""


class Children:
    """Starts contestants in processes of their own.

    Args:
        module: The module of the benchmark, which runs the contestant after `--one`.
        beside: Another checkout, whose package the contestants run whose names end in `BESIDE`.
    """

    def __init__(self, module: str, beside: Path | None) -> None:
        self._command = [sys.executable, "-P", "-m", module, "--one"]
        self._beside: dict[str, str] = {}
        if beside is not None:
            # Only the package is the other's: `benchmarks` is found where the project is installed.
            self._folder = TemporaryDirectory(prefix="beside-")
            link = Path(self._folder.name) / "sdml_kafka"
            link.symlink_to((beside / "sdml_kafka").absolute())
            self._beside = {"PYTHONPATH": self._folder.name}

    def command(self, name: str, *arguments: object) -> dict[str, Any]:
        """Return what `subprocess` takes to run a contestant; its name without `BESIDE` is last."""
        extra = self._beside if name.endswith(BESIDE) else {}
        args = [*self._command, *map(str, arguments), name.removesuffix(BESIDE)]
        return {"args": args, "env": {**os.environ, **extra}}
