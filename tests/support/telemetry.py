"""OpenTelemetry's SDK with what it would export kept in memory."""

from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.trace import Span

from sdml_kafka.observability.opentelemetry import OpenTelemetry


class Seen:
    """The providers, and the spans and metrics that have come out of them."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers: TracerProvider = TracerProvider(sampler=sampler)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters: MeterProvider = MeterProvider([self._reader])

    def hook(self) -> OpenTelemetry:
        """Return a hook whose spans and metrics come here."""
        return OpenTelemetry(self.tracers, self.meters)

    def span(self, name: str) -> Span:
        """Start a span of the program's own."""
        return self.tracers.get_tracer("program").start_span(name)

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in the order in which they did."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of this name that have ended."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """Return the only span of this name."""
        (span,) = self.named(name)
        return span

    def points(self, name: str) -> list[tuple[Mapping[str, Any], Any]]:
        """Return the attributes of a metric's points, and their number or their count."""
        return [
            (dict(point.attributes or {}), getattr(point, "count", getattr(point, "value", None)))
            for point in _points_of(self._reader.get_metrics_data(), name)
        ]


def _points_of(data: Any, name: str) -> Iterator[Any]:
    if data is None:
        return
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == name:
                    yield from metric.data.data_points


def trace_of(span: ReadableSpan | Span) -> int:
    """Return the number of a span's trace."""
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


def about(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


def id_of(span: ReadableSpan | Span) -> int:
    """Return the number of a span."""
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def is_child(child: ReadableSpan, parent: ReadableSpan | Span) -> bool:
    """Return whether a span has this one as its parent."""
    context = parent.get_span_context()
    return (
        child.parent is not None
        and context is not None
        and (child.parent.span_id == context.span_id and child.parent.trace_id == context.trace_id)
    )


def links_of(span: ReadableSpan) -> set[int]:
    """Return the numbers of the spans that a span has links to."""
    return {link.context.span_id for link in span.links}


def traceparent(span: ReadableSpan | Span) -> tuple[str, bytes]:
    """Return a span's context as a header."""
    context = span.get_span_context()
    assert context is not None
    text = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return "traceparent", text.encode()
