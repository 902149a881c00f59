"""The hooks that contestants are observed by, and what they export to."""

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

NO_HOOKS = "no hooks"
"""The contestant that is observed by nobody."""


class Dropping(SpanExporter):
    """Takes spans as an exporter does, and drops them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drop the spans."""
        return SpanExportResult.SUCCESS


def spans() -> list[Any]:
    """Return OpenTelemetry's hook with the SDK's spans."""
    from sdml_kafka.observability.opentelemetry import OpenTelemetry

    return [OpenTelemetry(_tracers())]


def spans_and_metrics() -> list[Any]:
    """Return OpenTelemetry's hook with the SDK's spans and metrics."""
    from sdml_kafka.observability.opentelemetry import OpenTelemetry

    return [OpenTelemetry(_tracers(), MeterProvider([InMemoryMetricReader()]))]


def prometheus() -> list[Any]:
    """Return the hook of Prometheus with a registry of its own."""
    from sdml_kafka.observability.prometheus import Prometheus

    return [Prometheus(CollectorRegistry())]


def _tracers() -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    return provider


OBSERVERS: dict[str, Callable[[], list[Any]]] = {
    "Prometheus": prometheus,
    "OpenTelemetry": spans,
    "OpenTelemetry with metrics": spans_and_metrics,
}
NAMES = (NO_HOOKS, *OBSERVERS)


def options_of(observer: str) -> dict[str, Any]:
    """Return the arguments of an object that is observed; another checkout may not have them."""
    return {} if observer == NO_HOOKS else {"hooks": OBSERVERS[observer]()}
