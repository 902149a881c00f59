"""The hook that measures what takes time."""

from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from sdml_kafka.hooks.events import (
    Assigned,
    CallSettled,
    Committed,
    FailedCommit,
    RequestHandled,
)
from sdml_kafka.hooks.hook import Hook
from sdml_kafka.hooks.participation import Handling
from sdml_kafka.observability.prometheus.series import Series

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""The upper bounds of the buckets."""


class Prometheus(Hook):
    """Measures handlers, calls, commits and rebalances: `hooks=[Prometheus()]`.

    One serves any number of listeners, clients and servers. Counts and gauges do not need it: see
    `Collector`.

    Args:
        registry: Where the metrics are registered, once; by default prometheus-client's own.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = REGISTRY if registry is None else registry
        handlers = Histogram(
            "sdml_kafka_handler_seconds",
            "Seconds that one attempt of a processor's or a server's handler takes.",
            ("kind", "handler"),
            buckets=SECONDS,
            registry=registry,
        )
        calls = Histogram(
            "sdml_kafka_call_seconds",
            "Seconds from the beginning of a call to its outcome.",
            ("topic", "outcome"),
            buckets=SECONDS,
            registry=registry,
        )
        rebalances = Histogram(
            "sdml_kafka_rebalance_seconds",
            "Seconds from a revocation to the assignment that follows.",
            ("consumergroup",),
            buckets=SECONDS,
            registry=registry,
        )
        self._handlers, self._calls = Series(handlers, 2), Series(calls, 2)
        self._rebalances = Series(rebalances, 1)
        self._commits = Counter(
            "sdml_kafka_commits",
            "Commits of offsets.",
            ("consumergroup",),
            registry=registry,
        )
        self._failed_commits = Counter(
            "sdml_kafka_commits_failed",
            "Commits of offsets that have failed, or of which that is not known.",
            ("consumergroup", "error"),
            registry=registry,
        )

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
