"""The hooks that contestants are observed by, and spans that programs make by hand."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import NoOpTracerProvider, SpanKind
from prometheus_client import CollectorRegistry

from sdml_kafka import Delivery

NO_HOOKS = "no hooks"
"""The contestant that is observed by nobody."""
SPANS_BY_HAND = "spans by hand"
"""The contestant whose program makes the same spans itself, without a hook."""


class Dropping(SpanExporter):
    """Takes spans as an exporter does, and drops them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drop the spans."""
        return SpanExportResult.SUCCESS


def spans() -> list[Any]:
    """Return OpenTelemetry's hook with the SDK's spans."""
    from sdml_kafka.observability.opentelemetry import OpenTelemetry

    return [OpenTelemetry(_tracers())]


def without_sdk() -> list[Any]:
    """Return OpenTelemetry's hook in a program that has the API alone: what we do ourselves."""
    from sdml_kafka.observability.opentelemetry import OpenTelemetry

    return [OpenTelemetry(NoOpTracerProvider(), NoOpMeterProvider())]


def spans_of_a_tenth() -> list[Any]:
    """Return OpenTelemetry's hook with the SDK's spans, of which a tenth of the traces is kept."""
    from sdml_kafka.observability.opentelemetry import OpenTelemetry

    share = TraceIdRatioBased(0.1)
    # What comes with a context out of a topic was sampled by nobody before.
    return [OpenTelemetry(_tracers(ParentBased(share, remote_parent_sampled=share)))]


def spans_and_metrics() -> list[Any]:
    """Return OpenTelemetry's hook with the SDK's spans and metrics."""
    from sdml_kafka.observability.opentelemetry import OpenTelemetry

    return [OpenTelemetry(_tracers(), MeterProvider([InMemoryMetricReader()]))]


def prometheus() -> list[Any]:
    """Return the hook of Prometheus with a registry of its own."""
    from sdml_kafka.observability.prometheus import Prometheus

    return [Prometheus(CollectorRegistry())]


def _tracers(sampler: Sampler | None = None) -> TracerProvider:
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    return provider


OBSERVERS: dict[str, Callable[[], list[Any]]] = {
    "Prometheus": prometheus,
    "OpenTelemetry, no SDK": without_sdk,
    "OpenTelemetry": spans,
    "OpenTelemetry, a tenth": spans_of_a_tenth,
    "OpenTelemetry with metrics": spans_and_metrics,
}
READERS = (NO_HOOKS, *OBSERVERS)
NAMES = (*READERS, SPANS_BY_HAND)


def options_of(observer: str) -> dict[str, Any]:
    """Return the arguments of an object that is observed; another checkout may not have them."""
    return {"hooks": OBSERVERS[observer]()} if observer in OBSERVERS else {}


# -- spans by hand -----------------------------------------------------------------------

type Headers = Sequence[tuple[str, bytes | None]]
type Ask = Callable[[dict[str, str]], Awaitable[Any]]
"""Makes a call whose request has these headers, and returns the reply."""


class SpansByHand:
    """Makes the spans that the hook makes, with as many attributes, by the SDK alone."""

    def __init__(self, topic: str) -> None:
        self._tracer = _tracers().get_tracer("benchmarks")
        self._names = f"request {topic}", f"process {topic}"
        self._shared = {
            "messaging.system.name": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
        }
        self._of_call = {
            **self._shared,
            "rpc.system.name": "benchmarks",
            "rpc.method": topic,
            "messaging.message.conversation_id": "0123456789abcdef-123456",
        }
        self._of_request = {**self._of_call, "messaging.consumer.group.name": "group"}

    async def request(self, ask: Ask) -> Any:
        """Make a call inside of its span."""
        span = self._tracer.start_span(
            self._names[0], kind=SpanKind.CLIENT, attributes=self._of_call
        )
        headers: dict[str, str] = {}
        propagate.inject(headers, trace.set_span_in_context(span))
        try:
            return await ask(headers)
        finally:
            span.end()

    async def serve(self, headers: Headers, handle: Callable[[], Awaitable[Any]]) -> Any:
        """Answer a request inside of its span."""
        parent = propagate.extract(_texts(headers))
        span = self._tracer.start_span(self._names[1], parent, SpanKind.SERVER, self._of_request)
        token = context.attach(trace.set_span_in_context(span, parent))
        try:
            return await handle()
        finally:
            context.detach(token)
            span.end()

    async def process(
        self, delivery: Delivery[object], handle: Callable[[], Awaitable[None]]
    ) -> None:
        """Handle a record inside of its span, which has a link to the record's own as well."""
        record = delivery.record
        parent = propagate.extract(_texts(record.headers))
        attributes: dict[str, str | int] = {
            **self._shared,
            "messaging.consumer.group.name": "group",
            "messaging.destination.partition.id": str(record.partition),
            "kafka.offset": record.offset,
            "kafka.message.key": (record.key or b"").decode(),
            "sdml_kafka.handler": "dict",
        }
        links = [trace.Link(trace.get_current_span(parent).get_span_context())]
        span = self._tracer.start_span(self._names[1], parent, SpanKind.CONSUMER, attributes, links)
        token = context.attach(trace.set_span_in_context(span, parent))
        try:
            await handle()
        finally:
            context.detach(token)
            span.end()


def _texts(headers: Headers) -> dict[str, str]:
    return {name: value.decode() for name, value in headers if value is not None}
