"""Contexts out of headers and into them."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.context import Context
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
