"""Contexts out of the headers of records, and into those of messages.

What nearly all headers have, W3C's `traceparent` alone, is read and written here, in a fifth of the
time that the propagators take. All else is theirs: baggage, a trace state, and any other format.
"""

import re
from collections.abc import Sequence
from typing import Any

from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sdml_kafka.hooks.participation import Outgoing

Headers = Sequence[tuple[str, bytes | None]]

MAX_HEADER_BYTES = 8192
"""Longer headers are not read; W3C's baggage is never longer."""

NOTHING = Context()
TRACEPARENT = "traceparent"
_USUAL = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_FLAGS = {b"%02x" % number: TraceFlags(number) for number in range(256)}


class Propagation:
    """Reads and writes contexts by a propagator, the global one if none is given."""

    def __init__(self, propagator: TextMapPropagator | None) -> None:
        self._propagator = propagator
        self._known: TextMapPropagator | None = None
        self._is_w3c = False
        """True if the propagator that is known is W3C's."""

    def extract(self, headers: Headers) -> Context:
        """Return the context in headers; without one it has nothing in it."""
        if not headers:
            return NOTHING
        propagator = self._current()
        if self._is_w3c:
            context = _read(headers)
            if context is not None:
                return context
        return propagator.extract(headers, NOTHING, _GETTER)

    def span_context(self, headers: Headers) -> SpanContext | None:
        """Return the span in headers, None if they have none."""
        if not headers:
            return None
        span = trace.get_current_span(self.extract(headers)).get_span_context()
        return span if span.is_valid else None

    def inject(self, message: Outgoing, context: Context) -> None:
        """Write a context into the headers of a message, in place of another one."""
        self.inject_span(message, trace.get_current_span(context), context)

    def inject_span(self, message: Outgoing, span: Span, context: Context) -> None:
        """Write a context into the headers of a message, with this span as its current one."""
        propagator = self._current()
        place = span.get_span_context()
        if (
            self._is_w3c
            and place.is_valid
            and not place.trace_state
            and (not context or not baggage.get_all(context))
        ):
            ids = place.trace_id, place.span_id, place.trace_flags
            message.set_header(TRACEPARENT, b"00-%032x-%016x-%02x" % ids)
        else:
            propagator.inject(message, trace.set_span_in_context(span, context), _SETTER)

    def carries(self, headers: Headers) -> bool:
        """Return whether headers may have a context."""
        fields = self._current().fields
        return any(name in fields for name, _ in headers)

    def _current(self) -> TextMapPropagator:
        propagator = self._propagator or propagate.get_global_textmap()
        if propagator is not self._known:  # a program may set the global one later on
            self._known, self._is_w3c = propagator, _is_w3c(propagator)
        return propagator


def _is_w3c(propagator: TextMapPropagator) -> bool:
    parts: Any = [propagator]
    if type(propagator) is CompositePropagator:
        parts = getattr(propagator, "_propagators", None) or [None]
    kinds: set[type[Any]] = {type(part) for part in parts}
    others = kinds - {TraceContextTextMapPropagator, W3CBaggagePropagator}
    return TraceContextTextMapPropagator in kinds and not others


def _read(headers: Headers) -> Context | None:
    """Return the context in W3C's headers, None if they have more than a plain `traceparent`."""
    parent: bytes | None = None
    for name, value in headers:  # of headers with the same name the last one counts
        if name == TRACEPARENT:
            parent = parent if value is None else value
        elif name == "tracestate" or name == "baggage":
            return None
    if parent is None:
        return NOTHING
    usual = _USUAL.fullmatch(parent)
    if usual is None:
        return None
    trace_id, span_id, flags = usual.groups()
    span = SpanContext(int(trace_id, 16), int(span_id, 16), True, _FLAGS[flags])
    return trace.set_span_in_context(NonRecordingSpan(span), NOTHING) if span.is_valid else None


class _Getter(Getter[Headers]):
    def get(self, carrier: Headers, key: str) -> list[str] | None:
        for name, value in reversed(carrier):  # of headers with the same name the last one counts
            if name == key and value is not None and len(value) <= MAX_HEADER_BYTES:
                return [value.decode("utf-8", "replace")]
        return None

    def keys(self, carrier: Headers) -> list[str]:
        return [name for name, _ in carrier]


class _Setter(Setter[Outgoing]):
    def set(self, carrier: Outgoing, key: str, value: str) -> None:
        carrier.set_header(key, value.encode())


_GETTER = _Getter()
_SETTER = _Setter()
