"""Contexts out of headers and into them."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sdml_kafka import Origin, Outgoing
from sdml_kafka.observability.opentelemetry.propagation import (
    MAX_HEADER_BYTES,
    NOTHING,
    Propagation,
)
from tests.support.telemetry import Seen, traceparent

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
GLOBAL = Propagation(None)


def outgoing(*headers: tuple[str, bytes]) -> Outgoing:
    return Outgoing(Origin("producer"), "send", "topic", None, b"", headers)


def test_a_context_comes_out_of_the_headers_with_its_baggage() -> None:
    context = GLOBAL.extract([("traceparent", PARENT.encode()), ("baggage", b"who=me")])
    span = trace.get_current_span(context).get_span_context()
    assert (span.trace_id, span.span_id) == (
        0x0AF7651916CD43DD8448EB211C80319C,
        0xB7AD6B7169203331,
    )
    assert span.is_remote
    assert baggage.get_all(context) == {"who": "me"}


def test_the_last_of_several_headers_counts() -> None:
    later = PARENT.replace("b7ad", "aaaa").encode()
    span = GLOBAL.span_context([("traceparent", PARENT.encode()), ("traceparent", later)])
    assert span is not None
    assert span.span_id == 0xAAAA6B7169203331


def test_without_headers_there_is_no_context() -> None:
    assert GLOBAL.extract([]) is NOTHING
    assert GLOBAL.span_context([]) is None
    assert GLOBAL.span_context([("a", b"b")]) is None


def test_headers_that_are_too_long_are_not_read() -> None:
    long = b"a=" + b"b" * MAX_HEADER_BYTES
    headers = [("traceparent", PARENT.encode()), ("baggage", long)]
    assert not baggage.get_all(GLOBAL.extract(headers))


names = st.sampled_from(["traceparent", "tracestate", "baggage", "x"])


@given(st.lists(st.tuples(names, st.none() | st.binary(max_size=80))))
def test_no_headers_whatever_they_hold_are_an_error(
    headers: list[tuple[str, bytes | None]],
) -> None:
    GLOBAL.extract(headers)
    GLOBAL.span_context([("traceparent", PARENT.encode()), *headers])


def test_a_context_replaces_the_one_that_headers_have() -> None:
    span = Seen().span("mine")
    message = outgoing(("traceparent", PARENT.encode()), ("other", b"1"))
    GLOBAL.inject(message, trace.set_span_in_context(span, Context()))
    assert list(message.headers) == [("other", b"1"), traceparent(span)]


def test_a_propagator_of_the_program_is_used() -> None:
    class Mine(TraceContextTextMapPropagator):
        @property
        def fields(self) -> set[str]:
            return {"mine"}

    own: TextMapPropagator = Mine()
    assert Propagation(own).carries([("mine", b"")])
    assert not Propagation(own).carries([("baggage", b"")])
    assert GLOBAL.carries([("a", b""), ("baggage", b"")])


DIGITS = st.text("0123456789abcdefABCDEF_- ", max_size=34)
PARENTS = st.one_of(
    st.sampled_from(["00", "01", "ff"]).map(lambda version: f"{version}{PARENT[2:]}"),
    st.sampled_from(["", "-", "-x", " ", "\n"]).map(lambda end: f"{PARENT}{end}"),
    st.sampled_from(["00", "01", "03", "0G", "1", "ff"]).map(lambda flags: f"{PARENT[:-2]}{flags}"),
    st.tuples(DIGITS, DIGITS).map(lambda ids: f"00-{ids[0]}-{ids[1]}-01"),
    st.just(f"00-{'0' * 32}-b7ad6b7169203331-01"),
    st.just(f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"),
)
VALUES = st.one_of(st.none(), PARENTS.map(str.encode), st.binary(max_size=60))
NAMES = st.sampled_from(["traceparent", "Traceparent", "tracestate", "baggage", "other"])


class Theirs(TraceContextTextMapPropagator):
    """W3C's propagator, which nobody may take for one that we know."""


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_what_is_read_here_is_what_the_propagator_reads(
    headers: list[tuple[str, bytes | None]],
) -> None:
    ours = Propagation(TraceContextTextMapPropagator()).span_context(headers)
    assert ours == Propagation(Theirs()).span_context(headers)


@given(
    st.integers(0, (1 << 128) - 1),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, 255),
    st.booleans(),
)
def test_what_is_written_here_is_what_the_propagator_writes(
    trace_id: int, span_id: int, flags: int, has_baggage: bool
) -> None:
    place = trace.SpanContext(trace_id, span_id, False, trace.TraceFlags(flags))
    outer = baggage.set_baggage("who", "me", Context()) if has_baggage else Context()
    context = trace.set_span_in_context(trace.NonRecordingSpan(place), outer)
    ours, theirs = outgoing(("traceparent", b"old")), outgoing(("traceparent", b"old"))
    GLOBAL.inject(ours, context)
    parts = [Theirs(), W3CBaggagePropagator()]
    Propagation(CompositePropagator(parts)).inject(theirs, context)
    assert ours.headers == theirs.headers
