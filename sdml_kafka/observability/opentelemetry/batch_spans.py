"""Spans by batch: of records that were delivered together, and of commits."""

from collections.abc import Iterator, Sequence
from itertools import islice
from time import time_ns

from opentelemetry.trace import Link, SpanContext, SpanKind

from sdml_kafka.hooks.events import Assigned, Committed, Delivered, FailedCommit, Lost
from sdml_kafka.observability.opentelemetry.metrics import with_error
from sdml_kafka.observability.opentelemetry.names import (
    BATCH_COUNT,
    OFFSET,
    PARTITION,
    Operation,
    Value,
    error_type,
)
from sdml_kafka.observability.opentelemetry.propagation import NOTHING
from sdml_kafka.observability.opentelemetry.spans import Telemetry, fail
from sdml_kafka.observability.opentelemetry.uncommitted import Uncommitted
from sdml_kafka.transport.interfaces.records import Record

MAX_POLL_LINKS = 16
"""The most links of a batch that was handed out. Each costs more than reading a record does."""


class BatchSpans:
    """Makes the spans of batches, each of which is a trace by itself with links to others."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._poll = Operation(telemetry.conventions, "poll", "receive")
        self._commit = Operation(telemetry.conventions, "commit", "settle")
        self._uncommitted = Uncommitted()

    def delivered(self, event: Delivered) -> None:
        """Make a span with links to the records of a batch, the first of them if they are many.

        The requests of a server have spans of their own, and theirs would come on top of each.
        """
        topic, partition = event.partition
        description = self._poll.on(topic, event.origin)
        count = len(event.records)
        self._telemetry.metrics.consumed.add(count, description.of_metrics)
        if event.origin.kind == "server":
            return
        attributes = {**description.attributes, PARTITION: str(partition), BATCH_COUNT: count}
        span = self._telemetry.tracer.start_span(
            description.span_name, NOTHING, SpanKind.CLIENT, attributes
        )
        if span.is_recording():
            contexts = list(self._contexts(event.records))
            for _, linked in contexts:
                span.add_link(linked)
            self._uncommitted.keep(event.origin, event.partition, contexts)
        span.end()

    def committed(self, event: Committed | FailedCommit, error: Exception | None = None) -> None:
        """Make a span for a commit, with its error if it has failed.

        One that was made has links to those records that the span of their delivery had links to.
        """
        topics = {partition.topic for partition in event.offsets}
        description = self._commit.on(topics.pop() if len(topics) == 1 else None, event.origin)
        settled = self._uncommitted.take(event.origin, event.offsets) if error is None else ()
        end = time_ns()
        span = self._telemetry.tracer.start_span(
            description.span_name,
            NOTHING,
            SpanKind.CLIENT,
            description.attributes,
            [Link(each) for each in settled],
            start_time=end - int(event.seconds * 1e9),
        )
        if span.is_recording() and len(event.offsets) == 1:
            ((partition, offset),) = event.offsets.items()
            attributes: dict[str, Value] = {PARTITION: str(partition.partition), OFFSET: offset}
            span.set_attributes(self._telemetry.conventions.complete(attributes))
        type_ = None if error is None else error_type(error)
        if type_ is not None and span.is_recording():
            fail(span, type_, str(error)[:1000])
        span.end(end)
        of_metrics = with_error(description.of_metrics, type_)
        self._telemetry.metrics.operation.record(event.seconds, of_metrics)

    def forget(self, event: Lost | Assigned) -> None:
        """Forget what was delivered: nothing more of it is committed, or it comes again."""
        self._uncommitted.forget(event.origin, event.partitions)

    def _contexts(self, records: Sequence[Record]) -> Iterator[tuple[int, SpanContext]]:
        for record in islice(records, MAX_POLL_LINKS):
            found = self._telemetry.propagation.span_context(record.headers)
            if found is not None:
                yield record.offset, found
