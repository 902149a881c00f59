"""Spans around handlers: one for each attempt, which is current in the handler.

The span of a single record is a child of the context in its headers, so that a record and what
handles it are one trace, and has a link to it as well, as the conventions ask. Records without a
context, and batches, begin a trace; batches have links to the contexts of their records. The span
that is current where the handler is called, if any, becomes a link: a handler's task inherits that
of the program's start, whose trace would never end.
"""

from contextvars import Token
from time import perf_counter
from types import TracebackType

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind

from sdml_kafka.errors import RemoteError
from sdml_kafka.hooks.participation import Handling, keep, kept_of
from sdml_kafka.observability.opentelemetry.metrics import with_error
from sdml_kafka.observability.opentelemetry.names import (
    ATTEMPT,
    BATCH_COUNT,
    CONVERSATION_ID,
    HANDLER,
    RPC_STATUS,
    Operation,
    Value,
    error_type,
    id_text,
)
from sdml_kafka.observability.opentelemetry.propagation import NOTHING
from sdml_kafka.observability.opentelemetry.spans import MAX_LINKS, Telemetry, fail


class ProcessSpans:
    """Makes the spans around handlers, and remembers them for what the handlers send."""

    def __init__(self, telemetry: Telemetry, rpc_system: str) -> None:
        self.telemetry: Telemetry = telemetry
        conventions = telemetry.conventions
        self.process: Operation = Operation(conventions, "process", "process")
        self.serve: Operation = Operation(conventions, "process", "process", rpc_system)

    def context_of(self, handling: Handling) -> Context | None:
        """Return the context of an attempt, None if it has no span."""
        context: Context | None = kept_of(handling, self)
        return context


class Attempt:
    """A span around one attempt of a handler."""

    __slots__ = ("_began", "_description", "_handling", "_is_call", "_span", "_spans", "_token")

    _began: float
    _span: Span
    _token: Token[Context]

    def __init__(self, spans: ProcessSpans, handling: Handling) -> None:
        self._spans, self._handling = spans, handling
        # To the conventions a request whose caller waits for the reply is a call.
        self._is_call = handling.call_id is not None and not handling.is_notification
        operation = spans.serve if self._is_call else spans.process
        self._description = operation.on(handling.records[0].topic, handling.origin)

    def __enter__(self) -> None:
        """Start the span, and make it current."""
        handling, telemetry = self._handling, self._spans.telemetry
        parent, links = NOTHING, list[Link]()
        if not handling.is_batch:
            parent = telemetry.propagation.extract(handling.records[0].headers)
            if parent is not NOTHING and not self._is_call:
                _add_link(links, parent)
        else:
            for record in handling.records[:MAX_LINKS]:
                _add_link(links, telemetry.propagation.extract(record.headers))
        if outer := context.get_current():
            _add_link(links, outer)
        description = self._description
        # All at once, since the SDK takes several times as long to add some later.
        more: dict[str, Value] = {}
        if handling.call_id is not None:
            more[CONVERSATION_ID] = id_text(handling.call_id)
        if not self._is_call:
            more |= self._about_records()
        self._span = span = telemetry.tracer.start_span(
            description.span_name,
            parent,
            SpanKind.SERVER if self._is_call else SpanKind.CONSUMER,
            {**description.attributes, **more},
            links,
        )
        inner = trace.set_span_in_context(span, parent)
        keep(handling, self._spans, inner)
        self._token = context.attach(inner)
        self._began = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """End the span; an error becomes its status."""
        seconds = perf_counter() - self._began
        span = self._span
        context.detach(self._token)
        type_ = None
        if error is not None:
            type_ = error_type(error)
            if self._is_call and isinstance(error, RemoteError) and not error.received:
                span.set_attribute(RPC_STATUS, error.status)
                type_ = error.status
            if span.is_recording():
                if isinstance(error, Exception):
                    span.record_exception(error)
                fail(span, type_, str(error)[:1000])
        span.end()
        if not self._is_call:
            attributes = with_error(self._description.of_metrics, type_)
            self._spans.telemetry.metrics.process.record(seconds, attributes)

    def _about_records(self) -> dict[str, Value]:
        handling = self._handling
        if handling.is_batch:
            attributes: dict[str, Value] = {BATCH_COUNT: len(handling.records)}
        else:
            attributes = self._spans.telemetry.conventions.of_record(handling.records[0])
        attributes[HANDLER] = handling.handler
        if handling.attempt > 1:
            attributes[ATTEMPT] = handling.attempt
        return attributes


def _add_link(links: list[Link], to: Context) -> None:
    span = trace.get_current_span(to).get_span_context()
    if span.is_valid:
        links.append(Link(span))
