"""Spans of messages that are sent: from the call to the acknowledgement, their context in headers.

A call has one span for all of it (`call_spans.py`), whose context its request gets. A reply has
that of the span around its handler. A message that has a context of the program's own, such as
a record's headers that are sent on, keeps that and is a link.
"""

from functools import partial
from time import perf_counter

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind

from sdml_kafka.hooks.participation import OnOutcome, Outgoing
from sdml_kafka.observability.opentelemetry.call_spans import CallSpans
from sdml_kafka.observability.opentelemetry.metrics import with_error
from sdml_kafka.observability.opentelemetry.names import Description, Operation, error_type
from sdml_kafka.observability.opentelemetry.process_spans import ProcessSpans
from sdml_kafka.observability.opentelemetry.spans import Telemetry, fail


class SendSpans:
    """Makes the spans of messages."""

    def __init__(self, telemetry: Telemetry, attempts: ProcessSpans, calls: CallSpans) -> None:
        self._telemetry, self._attempts, self._calls = telemetry, attempts, calls
        self._send = Operation(telemetry.conventions, "send", "send")

    def take_part(self, message: Outgoing) -> OnOutcome | None:
        """Begin the span of a message and write its context; return what ends it."""
        if message.purpose == "request" or message.purpose == "notification":
            if self._calls.inject(message):
                return None
        elif message.purpose == "reply":
            self._give_context(message)
            return None
        return self._begin(message)

    def _give_context(self, message: Outgoing) -> None:
        handling = message.handling
        context = None if handling is None else self._attempts.context_of(handling)
        if context is not None:
            self._telemetry.propagation.inject(message, context)

    def _begin(self, message: Outgoing) -> OnOutcome:
        telemetry = self._telemetry
        description = self._send.on(message.topic, message.origin)
        parent, linked = self._parent_of(message)
        own: SpanContext | None = None
        if message.purpose == "send" and telemetry.propagation.carries(message.headers):
            linked = own = telemetry.propagation.span_context(message.headers)
        span = telemetry.tracer.start_span(
            description.span_name,
            parent,
            SpanKind.PRODUCER,
            description.attributes,
            None if linked is None else (Link(linked),),
        )
        if own is None:
            telemetry.propagation.inject_span(message, span, parent)
        return partial(self._end, span, message, description, perf_counter())

    def _parent_of(self, message: Outgoing) -> tuple[Context, SpanContext | None]:
        """Return the context that a message comes from, and a span to link to."""
        handling, record = message.handling, message.record
        handled = None if handling is None else self._attempts.context_of(handling)
        if message.purpose == "send":
            return handled or self._telemetry.context_of_sender(), None
        is_batch = handling is not None and handling.is_batch
        if record is None or (handled is not None and not is_batch):
            return handled or self._telemetry.context_of_sender(), None
        # The trace of a batch is not that of the record, which is sent on by itself.
        link = None if handled is None else trace.get_current_span(handled).get_span_context()
        return self._telemetry.propagation.extract(record.headers), link

    def _end(
        self,
        span: Span,
        message: Outgoing,
        description: Description,
        began: float,
        error: Exception | None,
    ) -> None:
        seconds = perf_counter() - began
        type_ = None if error is None else error_type(error)
        if span.is_recording():
            place = message.partition, message.offset
            about = self._telemetry.conventions.of_message(message.key, message.value, *place)
            span.set_attributes(about)
            if type_ is not None:
                fail(span, type_, str(error)[:1000])
            span.end()
        attributes = with_error(description.of_metrics, type_)
        metrics = self._telemetry.metrics
        metrics.sent.add(1, attributes)
        metrics.operation.record(seconds, attributes)
