"""The hook that measures what takes time."""

from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType

from prometheus_client import REGISTRY, CollectorRegistry

from sdml_kafka.hooks.events import (
    Assigned,
    CallSettled,
    Committed,
    FailedCommit,
    RequestHandled,
)
from sdml_kafka.hooks.hook import Hook
from sdml_kafka.hooks.participation import Handling
from sdml_kafka.observability.prometheus.hook_series import series_in
from sdml_kafka.observability.prometheus.series import Series


class Prometheus(Hook):
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

    def handling(self, handling: Handling) -> AbstractContextManager[object] | None:
        """Measure an attempt of a listener's handler."""
        if handling.origin.kind == "server":
            return None  # `request_handled` has it
        return _Timing(self._handlers, handling.handler)

    def request_handled(self, event: RequestHandled) -> None:
        """Count a server's handler in."""
        self._handlers.of("server", event.handler).observe(event.seconds)

    def call_settled(self, event: CallSettled) -> None:
        """Count a call in."""
        self._calls.of(event.topic, event.outcome).observe(event.seconds)

    def committed(self, event: Committed) -> None:
        """Count a commit."""
        self._commits.labels(event.origin.group_id).inc()

    def commit_failed(self, event: FailedCommit) -> None:
        """Count a commit that has failed, by the class of its error."""
        self._failed_commits.labels(event.origin.group_id, type(event.error).__name__).inc()

    def assigned(self, event: Assigned) -> None:
        """Count a rebalance in."""
        if event.seconds is not None:
            self._rebalances.of(event.origin.group_id).observe(event.seconds)


class _Timing(AbstractContextManager[None]):
    """Measures what runs inside of it."""

    __slots__ = ("_began", "_handler", "_series")

    def __init__(self, series: Series, handler: str) -> None:
        self._series = series
        self._handler = handler

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._series.of("listener", self._handler).observe(perf_counter() - self._began)
