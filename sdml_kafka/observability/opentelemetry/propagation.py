"""Contexts out of the headers of records, and into those of messages."""

from collections.abc import Sequence

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.trace import SpanContext

from sdml_kafka.hooks.participation import Outgoing

Headers = Sequence[tuple[str, bytes | None]]

MAX_HEADER_BYTES = 8192
"""Longer headers are not read; W3C's baggage is never longer."""

NOTHING = Context()


class Propagation:
    """Reads and writes contexts by a propagator, the global one if none is given."""

    def __init__(self, propagator: TextMapPropagator | None) -> None:
        self._propagator = propagator

    def extract(self, headers: Headers) -> Context:
        """Return the context in headers; without one it has nothing in it."""
        if not headers:
            return NOTHING
        return self._current().extract(headers, NOTHING, _GETTER)

    def span_context(self, headers: Headers) -> SpanContext | None:
        """Return the span in headers, None if they have none."""
        if not headers:
            return None
        span = trace.get_current_span(self.extract(headers)).get_span_context()
        return span if span.is_valid else None

    def inject(self, message: Outgoing, context: Context) -> None:
        """Write a context into the headers of a message, in place of another one."""
        self._current().inject(message, context, _SETTER)

    def carries(self, headers: Headers) -> bool:
        """Return whether headers may have a context."""
        fields = self._current().fields
        return any(name in fields for name, _ in headers)

    def _current(self) -> TextMapPropagator:
        return self._propagator or propagate.get_global_textmap()


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
