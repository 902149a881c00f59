"""The hook that measures what takes time."""

from prometheus_client import REGISTRY, CollectorRegistry

from sdml_kafka.hooks.events import Assigned, Committed, FailedCommit, Kind
from sdml_kafka.hooks.timing import TimingHook
from sdml_kafka.observability.prometheus.hook_series import series_in


class Prometheus(TimingHook):
    """Measures handlers, calls, commits and rebalances: `hooks=[Prometheus()]`.

    One serves any number of listeners, clients and servers, and several of one registry measure
    into the same metrics. Counts and gauges do not need it: see `Collector`.

    Args:
        registry: Where the metrics are registered; by default prometheus-client's own, which
            `/metrics` of `observability.app` shows. Another one is the program's to serve.

    Raises:
        ConfigurationError: Something else has registered a metric of the same name there.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        series = series_in(REGISTRY if registry is None else registry)
        self._handlers, self._calls = series.handlers, series.calls
        self._rebalances = series.rebalances
        self._commits, self._failed_commits = series.commits, series.failed_commits

    def time_handler(self, kind: Kind, handler: str, seconds: float) -> None:
        """Count an attempt of a handler in."""
        self._handlers.add((kind, handler), seconds)

    def time_call(self, topic: str, outcome: str, seconds: float) -> None:
        """Count a call in."""
        self._calls.add((topic, outcome), seconds)

    def committed(self, event: Committed) -> None:
        """Count a commit."""
        self._commits.labels(event.origin.group_id).inc()

    def commit_failed(self, event: FailedCommit) -> None:
        """Count a commit that has failed, by the class of its error."""
        self._failed_commits.labels(event.origin.group_id, type(event.error).__name__).inc()

    def assigned(self, event: Assigned) -> None:
        """Count a rebalance in."""
        if event.seconds is not None:
            self._rebalances.add((event.origin.group_id,), event.seconds)
