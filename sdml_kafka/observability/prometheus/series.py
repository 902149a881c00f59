"""Bounds how many series a metric has: names of topics and handlers may be many."""

from collections.abc import Callable
from operator import add

from prometheus_client import Histogram

MAX_SERIES = 1000
"""The series of a metric; whatever would be one more counts as `OTHER`."""
OTHER = "other"


class Series:
    """The series of a histogram by their labels, each looked up once."""

    def __init__(self, histogram: Histogram, labels: int) -> None:
        self._histogram = histogram
        self._labels = labels
        self._known: dict[tuple[str, ...], Histogram] = {}

    def of(self, *labels: str) -> Histogram:
        """Return the series with these labels, or that of all others."""
        series = self._known.get(labels)
        if series is None:
            if len(self._known) >= MAX_SERIES:
                labels = (OTHER,) * self._labels
            series = self._known[labels] = self._histogram.labels(*labels)
        return series


class Values:
    """Values by their labels, of which those beyond the bound are joined to one."""

    def __init__(self, labels: int, join: Callable[[float, float], float] = add) -> None:
        self._labels = labels
        self._join = join
        self._values: dict[tuple[str, ...], float] = {}

    def note(self, labels: tuple[str, ...], value: float) -> None:
        """Note a value; several with the same labels are joined."""
        if labels not in self._values and len(self._values) >= MAX_SERIES:
            labels = (OTHER,) * self._labels
        known = self._values.get(labels)
        self._values[labels] = value if known is None else self._join(known, value)

    def items(self) -> list[tuple[tuple[str, ...], float]]:
        """Return all of them."""
        return list(self._values.items())
