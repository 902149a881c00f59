"""The metrics of the hook, which all hooks of one registry share."""

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector as BaseCollector

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.observability.prometheus.durations import Durations


class HookSeries(BaseCollector):
    """The metrics, registered as one collector: all of them or none."""

    def __init__(self) -> None:
        self.handlers: Durations = Durations(
            "sdml_kafka_handler_seconds",
            "Seconds that one attempt of a processor's or a server's handler takes.",
            ("kind", "handler"),
        )
        self.calls: Durations = Durations(
            "sdml_kafka_call_seconds",
            "Seconds from the beginning of a call to its outcome.",
            ("topic", "outcome"),
        )
        self.rebalances: Durations = Durations(
            "sdml_kafka_rebalance_seconds",
            "Seconds from a revocation to the assignment that follows.",
            ("consumergroup",),
        )
        self.commits: Counter = Counter(
            "sdml_kafka_commits", "Commits of offsets.", ("consumergroup",), registry=None
        )
        self.failed_commits: Counter = Counter(
            "sdml_kafka_commits_failed",
            "Commits of offsets that have failed, or of which that is not known.",
            ("consumergroup", "error"),
            registry=None,
        )
        durations = self.handlers, self.calls, self.rebalances
        self._all = *durations, self.commits, self.failed_commits

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


_REGISTERED: WeakKeyDictionary[CollectorRegistry, HookSeries] = WeakKeyDictionary()
