"""OpenTelemetry, the hook that makes spans and metrics by the conventions 1.45."""

import os
from contextlib import AbstractContextManager
from typing import ClassVar

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import TracerProvider

from sdml_kafka.hooks.events import (
    Assigned,
    CallBegun,
    CallSettled,
    Committed,
    Delivered,
    FailedCommit,
    Lost,
    RequestHandled,
)
from sdml_kafka.hooks.hook import Hook
from sdml_kafka.hooks.participation import Handling, OnOutcome, Outgoing
from sdml_kafka.observability.opentelemetry.batch_spans import BatchSpans
from sdml_kafka.observability.opentelemetry.call_spans import CallSpans
from sdml_kafka.observability.opentelemetry.metrics import Metrics, with_error
from sdml_kafka.observability.opentelemetry.names import OPT_IN, RPC_STATUS, Conventions, Operation
from sdml_kafka.observability.opentelemetry.process_spans import Attempt, ProcessSpans
from sdml_kafka.observability.opentelemetry.propagation import Propagation
from sdml_kafka.observability.opentelemetry.send_spans import SendSpans
from sdml_kafka.observability.opentelemetry.spans import Telemetry

SCOPE = "sdml_kafka"
"""The name of the tracer, of the meter, and of the system of calls."""


class OpenTelemetry(Hook):
    """Traces records and calls, and counts them, with OpenTelemetry (extra `otel`).

    ```python
    KafkaListener(..., hooks=[OpenTelemetry()])
    ```

    One hook may serve several objects, and each object may have its own. Contexts travel in the
    headers, by default as W3C's `traceparent`. docs/observability.md shows the spans.
    """

    wants_record_in_hand: ClassVar[bool] = True

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
    ) -> None:
        """Take what the program has set up.

        Args:
            tracer_provider: Makes the spans; by default the global one, which the program may set
                later on.
            meter_provider: Keeps the metrics; by default the global one.
            propagator: Writes contexts into headers and reads them; by default the global one.
        """
        conventions = Conventions.chosen_by(os.environ.get(OPT_IN))
        telemetry = Telemetry(
            trace.get_tracer(SCOPE, tracer_provider=tracer_provider),
            conventions,
            Propagation(propagator),
            Metrics(metrics.get_meter(SCOPE, meter_provider=meter_provider)),
        )
        self._metrics = telemetry.metrics
        self._attempts = ProcessSpans(telemetry, SCOPE)
        self._calls = CallSpans(telemetry, SCOPE)
        self._messages = SendSpans(telemetry, self._attempts, self._calls)
        self._batches = BatchSpans(telemetry)
        self._serve = Operation(conventions, "process", "process", SCOPE)

    def handling(self, handling: Handling) -> AbstractContextManager[object]:
        """Make a span that is current in the handler."""
        return Attempt(self._attempts, handling)

    def sending(self, message: Outgoing) -> OnOutcome | None:
        """Write the context into the message, and make a span until it is acknowledged."""
        return self._messages.take_part(message)

    def call_begun(self, event: CallBegun) -> None:
        """Begin the span of a call."""
        self._calls.begun(event)

    def call_settled(self, event: CallSettled) -> None:
        """End the span of a call."""
        self._calls.settled(event)

    def request_handled(self, event: RequestHandled) -> None:
        """Record the time that a call took. A notification is a message like others."""
        if event.call_id is None or event.is_notification:
            return
        attributes = self._serve.on(event.topic, event.origin).of_metrics
        if event.status != "ok":
            attributes = {**with_error(attributes, event.status), RPC_STATUS: event.status}
        self._metrics.server_call.record(event.seconds, attributes)

    def delivered(self, event: Delivered) -> None:
        """Make a span for records that were delivered together."""
        self._batches.delivered(event)

    def committed(self, event: Committed) -> None:
        """Make a span for a commit."""
        self._batches.committed(event)

    def lost(self, event: Lost) -> None:
        """Forget what was delivered and will not be committed."""
        self._batches.forget(event)

    def assigned(self, event: Assigned) -> None:
        """Forget what was delivered in an earlier stay of these partitions, and comes again."""
        self._batches.forget(event)

    def commit_failed(self, event: FailedCommit) -> None:
        """Make a span for a commit that has failed."""
        self._batches.committed(event, event.error)
