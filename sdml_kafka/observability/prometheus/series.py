"""Bounds how many series a metric has: names of topics and handlers may be many."""

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


class Sums:
    """Values by their labels, of which those beyond the bound are added up."""

    def __init__(self, labels: int) -> None:
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, labels: tuple[str, ...], value: float) -> None:
        """Add a value."""
        if labels not in self._values and len(self._values) >= MAX_SERIES:
            labels = (OTHER,) * self._labels
        self._values[labels] = self._values.get(labels, 0.0) + value

    def items(self) -> list[tuple[tuple[str, ...], float]]:
        """Return all of them."""
        return list(self._values.items())
