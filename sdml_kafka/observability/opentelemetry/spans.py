"""The makers of spans share these: the tracer, names, headers and metrics, and how a span fails."""

from attrs import frozen
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from sdml_kafka.hooks.participation import record_in_hand
from sdml_kafka.observability.opentelemetry.metrics import Metrics
from sdml_kafka.observability.opentelemetry.names import ERROR_TYPE, Conventions
from sdml_kafka.observability.opentelemetry.propagation import Propagation

MAX_LINKS = 128
"""The most links of a span, which is the default limit of the SDK."""

FAILED = Status(StatusCode.ERROR)


@frozen(eq=False)
class Telemetry:
    """The tools of all that makes spans."""

    tracer: Tracer
    conventions: Conventions
    propagation: Propagation
    metrics: Metrics

    def context_of_sender(self) -> Context:
        """Return the context that is current.

        Without a span it is that of the record whose loop's body this is.
        """
        current = context.get_current()
        if current and trace.get_current_span(current) is not trace.INVALID_SPAN:
            return current
        record = record_in_hand()
        if record is None or not record.headers:
            return current
        return self.propagation.extract(record.headers)


def fail(span: Span, type_: str, description: str | None = None) -> None:
    """Note that what a span stands for has failed."""
    span.set_attribute(ERROR_TYPE, type_)
    span.set_status(Status(StatusCode.ERROR, description) if description else FAILED)
