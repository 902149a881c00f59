"""Spans of calls in their client: from the call to its outcome, of kind CLIENT.

A call waits for its reply, so the conventions for calls hold beside those for messages: its span
and the span in the server, of kind SERVER, are a pair. A notification waits for the broker alone,
and is a message that is sent.
"""

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from sdml_kafka.errors import RemoteError
from sdml_kafka.hooks.events import CallBegun, CallSettled, Origin
from sdml_kafka.hooks.participation import Outgoing
from sdml_kafka.observability.opentelemetry.metrics import with_error
from sdml_kafka.observability.opentelemetry.names import (
    CONVERSATION_ID,
    RPC_STATUS,
    Description,
    Operation,
    id_text,
)
from sdml_kafka.observability.opentelemetry.spans import Telemetry, fail

STATUSES = {"invalid_argument", "not_found", "internal", "deadline_exceeded", "unavailable"}
"""The statuses that are types of errors. Others are a server's own, and may be any number."""

_Waiting = tuple[Origin, Span, Context, Description]
"""The caller, the call's span, the context that it was made in, and its description."""


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
            # All at once, since the SDK takes several times as long to add one later.
            {**description.attributes, CONVERSATION_ID: id_text(event.call_id)},
        )
        waiting = event.origin, span, parent, description
        self._waiting.setdefault(event.call_id, []).append(waiting)

    def inject(self, message: Outgoing) -> bool:
        """Write the context of the call whose request this is; return False if it is not known."""
        found = self._find(message.call_id or b"", message.origin)
        if found is None:
            return False
        self._telemetry.propagation.inject_span(message, found[1], found[2])
        return True

    def settled(self, event: CallSettled) -> None:
        """End the span of a call."""
        error = event.error
        status = error.status if isinstance(error, RemoteError) else None
        type_ = None if event.outcome == "ok" else event.outcome
        if status in STATUSES:
            type_ = status
        description = self._end(event, type_, status)
        if description is None:
            return
        metrics = self._telemetry.metrics
        attributes = with_error(description.of_metrics, type_)
        if event.method == "notify":
            metrics.sent.add(1, attributes)
            metrics.operation.record(event.seconds, attributes)
        else:
            metrics.client_call.record(event.seconds, attributes)

    def _end(self, event: CallSettled, type_: str | None, status: str | None) -> Description | None:
        found = self._find(event.call_id, event.origin)
        if found is None:
            return None
        waiting = self._waiting[event.call_id]
        waiting.remove(found)
        if not waiting:
            del self._waiting[event.call_id]
        _, span, _, description = found
        if type_ is not None and span.is_recording():
            if status is not None:
                span.set_attribute(RPC_STATUS, status)
            fail(span, type_, None if event.error is None else str(event.error)[:1000])
        span.end()
        return description

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
