"""Spans of calls in their client: from the call to its outcome, of kind CLIENT.

A call waits for its reply, so the conventions for calls hold beside those for messages: its span
and the span in the server, of kind SERVER, are a pair. A notification waits for the broker alone,
and is a message that is sent.
"""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from sdml_kafka.errors import RemoteError
from sdml_kafka.hooks.events import CallBegun, CallSettled, Origin
from sdml_kafka.hooks.participation import Outgoing
from sdml_kafka.observability.opentelemetry.metrics import with_error
from sdml_kafka.observability.opentelemetry.names import (
    CONVERSATION_ID,
    RPC_STATUS,
    Operation,
    id_text,
)
from sdml_kafka.observability.opentelemetry.spans import Telemetry, fail

STATUSES = {"invalid_argument", "not_found", "internal", "deadline_exceeded", "unavailable"}
"""The statuses that are types of errors. Others are a server's own, and may be any number."""

_Waiting = tuple[Origin, Span, Context]


class CallSpans:
    """Makes the spans of calls, and keeps them while the calls wait."""

    def __init__(self, telemetry: Telemetry, rpc_system: str) -> None:
        self._telemetry = telemetry
        self._operations = {
            "request": Operation(telemetry.conventions, "request", "send", rpc_system),
            "stream": Operation(telemetry.conventions, "stream", "send", rpc_system),
            "notify": Operation(telemetry.conventions, "send", "send"),
        }
        # Calls of several clients may have the same id: a handler's call has that of its request.
        self._waiting: dict[bytes, list[_Waiting]] = {}

    def begun(self, event: CallBegun) -> None:
        """Begin the span of a call."""
        description = self._operations[event.method].on(event.topic, event.origin)
        parent = self._telemetry.context_of_sender()
        span = self._telemetry.tracer.start_span(
            description.span_name,
            parent,
            SpanKind.PRODUCER if event.method == "notify" else SpanKind.CLIENT,
            description.attributes,
        )
        if span.is_recording():
            span.set_attribute(CONVERSATION_ID, id_text(event.call_id))
        waiting = event.origin, span, trace.set_span_in_context(span, parent)
        self._waiting.setdefault(event.call_id, []).append(waiting)

    def context_of(self, message: Outgoing) -> Context | None:
        """Return the context of the call whose request this is, None if it is not known."""
        found = self._find(message.call_id or b"", message.origin)
        return None if found is None else found[2]

    def settled(self, event: CallSettled) -> None:
        """End the span of a call."""
        error = event.error
        status = error.status if isinstance(error, RemoteError) else None
        type_ = None if event.outcome == "ok" else event.outcome
        if status in STATUSES:
            type_ = status
        self._end(event, type_, status)
        description = self._operations[event.method].on(event.topic, event.origin)
        metrics = self._telemetry.metrics
        attributes = with_error(description.of_metrics, type_)
        if event.method == "notify":
            metrics.sent.add(1, attributes)
            metrics.operation.record(event.seconds, attributes)
        else:
            metrics.client_call.record(event.seconds, attributes)

    def _end(self, event: CallSettled, type_: str | None, status: str | None) -> None:
        found = self._find(event.call_id, event.origin)
        if found is None:
            return
        waiting = self._waiting[event.call_id]
        waiting.remove(found)
        if not waiting:
            del self._waiting[event.call_id]
        span = found[1]
        if type_ is not None and span.is_recording():
            if status is not None:
                span.set_attribute(RPC_STATUS, status)
            fail(span, type_, None if event.error is None else str(event.error)[:1000])
        span.end()

    def _find(self, call_id: bytes, origin: Origin) -> _Waiting | None:
        """Return the latest call with this id, of the same client if that is there."""
        waiting = self._waiting.get(call_id)
        if waiting is None:
            return None
        if len(waiting) > 1:
            for each in reversed(waiting):
                if each[0] == origin:
                    return each
        return waiting[-1]
