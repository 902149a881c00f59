"""The metrics of the hook, which all hooks of one registry share."""

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector as BaseCollector

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.observability.prometheus.series import Series

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""The upper bounds of the buckets."""


class HookSeries(BaseCollector):
    """The metrics, registered as one collector: all of them or none."""

    def __init__(self) -> None:
        handlers = _histogram(
            "sdml_kafka_handler_seconds",
            "Seconds that one attempt of a processor's or a server's handler takes.",
            ("kind", "handler"),
        )
        calls = _histogram(
            "sdml_kafka_call_seconds",
            "Seconds from the beginning of a call to its outcome.",
            ("topic", "outcome"),
        )
        rebalances = _histogram(
            "sdml_kafka_rebalance_seconds",
            "Seconds from a revocation to the assignment that follows.",
            ("consumergroup",),
        )
        self.handlers, self.calls = Series(handlers, 2), Series(calls, 2)
        self.rebalances = Series(rebalances, 1)
        self.commits = Counter(
            "sdml_kafka_commits", "Commits of offsets.", ("consumergroup",), registry=None
        )
        self.failed_commits = Counter(
            "sdml_kafka_commits_failed",
            "Commits of offsets that have failed, or of which that is not known.",
            ("consumergroup", "error"),
            registry=None,
        )
        self._all = handlers, calls, rebalances, self.commits, self.failed_commits

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values."""
        return [metric for each in self._all for metric in each.describe()]

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        return [metric for each in self._all for metric in each.collect()]


def series_in(registry: CollectorRegistry) -> HookSeries:
    """Return the metrics that are registered there, which are registered now if none are.

    Raises:
        ConfigurationError: Something else has registered a metric of the same name there.
    """
    series = HookSeries()
    try:
        registry.register(series)
    except ValueError as error:
        known = _REGISTERED.get(registry)
        if known is None:
            raise ConfigurationError(
                f"Prometheus() cannot register its metrics beside others of that name ({error}): "
                "pass a registry of its own, registry=CollectorRegistry(), and serve that as well"
            ) from error
        return known
    _REGISTERED[registry] = series
    return series


def _histogram(name: str, text: str, labels: Sequence[str]) -> Histogram:
    return Histogram(name, text, labels, buckets=SECONDS, registry=None)


_REGISTERED: WeakKeyDictionary[CollectorRegistry, HookSeries] = WeakKeyDictionary()
