"""The native codec reads headers of any kind as a naive reader does."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdml_kafka.rpc.dialects.messages import MAX_ERROR_BYTES, MAX_REPLY_TOPICS, Reply, Request
from sdml_kafka.rpc.dialects.native import ID_NAMES, MAX_ROUTE_BYTES, MAX_ROUTES, Wire
from tests.support.naive_codec import HEADERS, LONG_ID, NAMES, WIRES, reply_of, request_of


@given(headers=HEADERS, key=st.one_of(st.none(), st.binary(max_size=9), st.just(LONG_ID)))
@example(headers=[("request_id", b"a"), ("REQUEST_ID", b"b")], key=None)
@example(headers=[("REQUEST_ID", b"a"), ("request_id", b"b")], key=None)
@example(headers=[("correlation_id", b"a"), ("Request_Id", b"b")], key=None)
@example(headers=[("request_id", LONG_ID), ("request_id", b"b")], key=b"k")
@example(headers=[("request_id", None), ("request_id", b"b")], key=b"k")
@example(headers=[("request_id", b""), ("correlation_id", b"c")], key=b"k")
@example(headers=[("X-Reply-Topic", b"a"), ("x-reply-topic", b"a")], key=b"")
@example(headers=[("x-reply-topic", b"a/b"), ("x-reply-topic", b"c")], key=b"")
@example(headers=[("x-timeout-ms", b"no"), ("x-timeout-ms", b"5")], key=None)
@example(headers=[("x-timeout-ms", b"9" * 12), ("x-reply-partition", b"2147483647")], key=None)
@example(headers=[("x-timeout-ms", b"0" * 13), ("x-reply-partition", b"2147483648")], key=None)
@example(headers=[("x-reply-topic", b"."), ("x-reply-topic", b"..")], key=LONG_ID[1:])
@example(headers=[("request_id", LONG_ID[1:]), ("x-reply-topic", b".")], key=LONG_ID)
@example(headers=[("correlation_id", b"a"), ("X-Correlation-Id", b"b")], key=None)
def test_a_request_is_read_as_the_naive_reader_reads_it(
    headers: list[tuple[str, bytes | None]], key: bytes | None
) -> None:
    for wire in WIRES:
        assert wire.read_request(headers, key) == request_of(headers, key, wire.id_names)


@given(id_=st.sampled_from([b"a", b"", LONG_ID, None]), rest=HEADERS)
@example(id_=b"a", rest=[("x-cancel", b"1"), ("x-reply-topic", b"a")])
@example(id_=b"a", rest=[("request_id", b"b"), ("x-timeout-ms", b"7"), ("X-Reply-Topic", b"a")])
def test_a_request_that_ends_like_one_before_is_read_as_the_naive_reader_reads_it(
    id_: bytes | None, rest: list[tuple[str, bytes | None]]
) -> None:
    for wire in WIRES:
        for timeout in (b"1", b"22", b"", None, b"no"):
            for name in ("request_id", "x-reply-topic"):
                headers = [(name, id_), ("x-timeout-ms", timeout), *rest]
                expected = request_of(headers, b"key", wire.id_names)
                assert wire.read_request(headers, b"key") == expected


TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
TRACED_WIRES = [*WIRES, Wire(("traceparent", "request_id")), Wire(("request_id", "TraceParent"))]


@given(id_=st.sampled_from([b"a", b"", LONG_ID, None]), rest=HEADERS)
@example(id_=b"a", rest=[])
@example(id_=b"a", rest=[("x-status", b"ok")])
@example(id_=b"a", rest=[("x-status", b"internal")])
@example(id_=b"a", rest=[("x-cancel", b"1")])
def test_a_call_that_is_traced_is_read_as_the_naive_reader_reads_it(
    id_: bytes | None, rest: list[tuple[str, bytes | None]]
) -> None:
    for wire in TRACED_WIRES:
        reply = [("request_id", id_), *rest, TRACE]
        assert wire.read_reply(reply) == reply_of(reply, wire.id_names)
        request = [("request_id", id_), ("x-timeout-ms", b"1"), *rest, TRACE]
        assert wire.read_request(request, b"key") == request_of(request, b"key", wire.id_names)


def test_requests_that_differ_in_their_trace_alone_are_remembered_as_one() -> None:
    wire = Wire()
    start = [("request_id", b"a"), ("x-timeout-ms", b"1"), ("x-reply-topic", b"replies")]
    for number in range(3):
        request = wire.read_request([*start, ("traceparent", b"%d" % number)], None)
        assert request.reply_topics == ("replies",)
    assert list(wire._routes) == [("x-reply-topic", b"replies")]


def test_what_is_remembered_of_requests_is_bounded() -> None:
    wire, begin = Wire(), [("request_id", b"a"), ("x-timeout-ms", b"1")]
    for number in range(2 * MAX_ROUTES):
        wire.read_request([*begin, ("x-reply-topic", b"%d" % number)], None)
        wire.read_request([*begin, ("x-reply-topic", b"t" * 2000 + b"%d" % number)], None)
        wire.read_request([*begin, ("x-reply-topic", b"t"), ("mine", b"%d" % number)], None)
    assert 0 < len(wire._routes) <= MAX_ROUTES
    assert all(len(repr(headers)) < 2 * MAX_ROUTE_BYTES for headers in wire._routes)


@given(headers=HEADERS)
@example(headers=[("x-status", b"ok"), ("x-error", b"e")])
@example(headers=[("request_id", b"a"), ("x-end", b"")])
@example(headers=[("x-status", b"")])
@example(headers=[("x-cancel-partition", b"2147483648"), ("x-sequence", b"2147483648")])
def test_a_reply_is_read_as_the_naive_reader_reads_it(
    headers: list[tuple[str, bytes | None]],
) -> None:
    for wire in WIRES:
        assert wire.read_reply(headers) == reply_of(headers, wire.id_names)


def test_of_ten_thousand_reply_topics_the_first_are_admitted_and_the_others_counted() -> None:
    headers = [("x-reply-topic", b"t%d" % number) for number in range(10_000)]
    request = Wire().read_request([*headers, *headers, ("request_id", b"id")], None)
    assert request.id == b"id"
    assert request.reply_topics == tuple(f"t{number}" for number in range(MAX_REPLY_TOPICS))
    assert request.refused_topics == 10_000 - MAX_REPLY_TOPICS


def huge(value: bytes) -> list[tuple[str, bytes | None]]:
    return [(name, value) for name in NAMES]


@pytest.mark.parametrize("byte", [b"a", b"1", b"\xff", b"\x00", b"."])
def test_headers_of_a_megabyte_say_nothing(byte: bytes) -> None:
    headers = huge(byte * (1 << 20))
    assert Wire().read_request(headers, byte * (1 << 20)) == Request(
        None, None, (), 1, None, None, True
    )
    reply = Wire().read_reply(headers)
    assert len(reply.error) == MAX_ERROR_BYTES
    assert reply == Reply(None, "unknown", reply.error, None, True, None)


def test_a_name_of_a_megabyte_is_passed_over() -> None:
    name = "İ" * (1 << 20)
    assert Wire().read_reply([(name, b"1"), ("request_id", b"id")]) == Reply(b"id")


class CountedName(str):
    """A header's name that knows how often it was lowered."""

    lowered = 0

    def lower(self) -> str:
        CountedName.lowered += 1
        return super().lower()


@pytest.mark.parametrize(("name", "times"), [("request_id", 0), ("REQUEST_ID", 1), ("x" * 99, 0)])
def test_a_name_is_lowered_only_when_that_may_help(name: str, times: int) -> None:
    CountedName.lowered = 0
    Wire().read_reply([(CountedName(name), b"id")])
    assert CountedName.lowered == times


def test_a_header_of_ones_own_is_read_last_and_once() -> None:
    wire = Wire().with_name("My-Id")
    assert wire.id_names == (*ID_NAMES, "My-Id")
    assert wire.with_name("my-ID") is wire
    assert Wire().with_name("Request_ID") == Wire()
    request = wire.read_request([("my-id", b"mine"), ("request_id", b"other")], None)
    assert (request.id, request.id_name) == (b"other", "request_id")
    request = wire.read_request([("MY-ID", b"mine")], None)
    assert (request.id, request.id_name) == (b"mine", "MY-ID")


@pytest.mark.parametrize("name", ["", "x-status", "X-Reply-Topic", "x-cancel"])
def test_a_header_that_means_something_else_cannot_carry_the_id(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the header"):
        Wire().with_name(name)
    with pytest.raises(ValueError, match="cannot be the header"):
        Wire((name,))
