"""Histograms of seconds, to which a measurement costs a tenth of prometheus-client's own.

A measurement is only appended to a list. They are counted into the buckets many at a time: when
Prometheus asks, and when the list is long.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from threading import Lock

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector as BaseCollector

from sdml_kafka.observability.prometheus.series import MAX_SERIES, OTHER

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""The upper bounds of the buckets."""
MAX_RECENT = 500
"""The most measurements of a series that are not counted yet."""

_BOUNDS = [*(str(float(bound)) for bound in SECONDS), "+Inf"]


class _Series:
    """The counts of one series. Several threads may measure, if objects on them share a hook."""

    def __init__(self) -> None:
        self.recent: list[float] = []
        self._counts = [0] * len(_BOUNDS)
        self._sum = 0.0
        self._lock = Lock()

    def count(self) -> tuple[Sequence[int], float]:
        """Count what is recent; return the number up to each bound, and the sum."""
        with self._lock:
            recent = self.recent[:]
            del self.recent[: len(recent)]  # others may have appended meanwhile
            recent.sort()
            for at, bound in enumerate(SECONDS):
                self._counts[at] += bisect_right(recent, bound)
            self._counts[-1] += len(recent)
            self._sum += sum(recent)
            return tuple(self._counts), self._sum


class Durations(BaseCollector):
    """A histogram of seconds with labels, whose series are bounded.

    Args:
        name: The name of the metric.
        text: What it is.
        labels: The names of the labels.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._parts = name, text
        self._labels = labels
        self._known: dict[tuple[str, ...], _Series] = {}

    def add(self, labels: tuple[str, ...], seconds: float) -> None:
        """Add a measurement to the series with these labels, or to that of all others."""
        series = self._known.get(labels)
        if series is None:
            series = self._series_of(labels)
        recent = series.recent
        recent.append(seconds)
        if len(recent) >= MAX_RECENT:
            series.count()

    def describe(self) -> Iterable[Metric]:
        """Return the metric without values."""
        return [HistogramMetricFamily(*self._parts, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        """Return the metric as it is now."""
        family = HistogramMetricFamily(*self._parts, labels=self._labels)
        for labels, series in list(self._known.items()):
            counts, sum_ = series.count()
            family.add_metric(labels, list(zip(_BOUNDS, counts, strict=True)), sum_)
        return [family]

    def _series_of(self, labels: tuple[str, ...]) -> _Series:
        if len(self._known) >= MAX_SERIES:
            labels = (OTHER,) * len(self._labels)
        return self._known.setdefault(labels, _Series())
