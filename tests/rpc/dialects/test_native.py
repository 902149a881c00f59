"""The codec of calls against a naive reader, on headers of any kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdml_kafka.rpc.dialects.messages import (
    MAX_ERROR_BYTES,
    MAX_ID_BYTES,
    MAX_REPLY_TOPICS,
    OK,
    ForeignHeaders,
    Reply,
    Request,
    is_id,
    is_status,
)
from sdml_kafka.rpc.dialects.native import (
    ID_NAMES,
    Wire,
    cancel_headers,
    reply_headers,
    reply_to_headers,
    request_headers,
)

NAMES = (
    *ID_NAMES,
    "My-Id",
    "x-reply-topic",
    "x-reply-partition",
    "x-timeout-ms",
    "x-status",
    "x-error",
    "x-sequence",
    "x-end",
    "x-cancel",
    "x-cancel-partition",
)
LONG_ID = b"i" * (MAX_ID_BYTES + 1)
WIRES = (
    Wire(),
    Wire().with_name("My-Id"),
    Wire(("X-Correlation-ID", "correlation_id", "x-correlation-id")),
    Wire(()),
)


def any_case(name: str) -> st.SearchStrategy[str]:
    return st.one_of(st.just(name), st.just(name.upper()), st.just(name.title()))


SPELLINGS = st.one_of(st.sampled_from(NAMES).flatmap(any_case), st.text(max_size=20))
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.integers(0, 1 << 45).map(lambda number: b"%d" % number),
    st.sampled_from(
        [b"", b"0", b"+1", b" 1", b"1_0", b"\xc2\xb2", "\u0661".encode(), b"-1", b"1\n"]
    ),
    st.sampled_from([b"ok", b"OK", b"not_found", b"no such", b"s" * 64, b"s" * 65, b"\xff"]),
    st.sampled_from([b"t", b".", b"..", b"...", b"t/1", b"t" * 249, b"t" * 250, b"t\n"]),
    st.sampled_from([b"i" * MAX_ID_BYTES, LONG_ID, "é".encode() * MAX_ERROR_BYTES]),
)
HEADERS = st.lists(st.tuples(SPELLINGS, VALUES), max_size=12)
IDS = st.binary(min_size=1, max_size=40)
TOPICS = st.from_regex(r"[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}", fullmatch=True)
NUMBERS = st.integers(0, (1 << 31) - 1)


# -- the naive reader ------------------------------------------------------------------------


def values_of(headers: ForeignHeaders, name: str) -> list[tuple[str, bytes]]:
    return [
        (spelled, value)
        for spelled, value in headers
        if spelled.lower() == name.lower() and value is not None
    ]


def first_of(headers: ForeignHeaders, name: str) -> bytes | None:
    found = values_of(headers, name)
    return found[0][1] if found else None


def number_of(headers: ForeignHeaders, name: str, most: int) -> int | None:
    value = first_of(headers, name)
    if value is None or not re.fullmatch(rb"[0-9]{1,12}", value):
        return None
    return int(value) if int(value) <= most else None


def id_of(headers: ForeignHeaders, names: tuple[str, ...]) -> tuple[bytes | None, str | None]:
    for name in names:
        for spelled, value in values_of(headers, name)[:1]:
            if value and len(value) <= MAX_ID_BYTES:
                return value, spelled
    return None, None


def request_of(headers: ForeignHeaders, key: bytes | None, names: tuple[str, ...]) -> Request:
    id_, id_name = id_of(headers, names)
    if id_ is None and key and len(key) <= MAX_ID_BYTES:
        id_ = key
    asked: list[bytes] = []
    for _, value in values_of(headers, "x-reply-topic"):
        if value not in asked:
            asked.append(value)
    legal = [
        topic.decode()
        for topic in asked
        if re.fullmatch(rb"[a-zA-Z0-9._-]{1,249}", topic) and topic not in (b".", b"..")
    ]
    topics = tuple(legal[:MAX_REPLY_TOPICS])
    return Request(
        id_,
        id_name,
        topics,
        len(asked) - len(topics),
        number_of(headers, "x-reply-partition", (1 << 31) - 1),
        number_of(headers, "x-timeout-ms", 10**12),
        bool(values_of(headers, "x-cancel")),
    )


def reply_of(headers: ForeignHeaders, names: tuple[str, ...]) -> Reply:
    status = first_of(headers, "x-status")
    if status is None:
        status = b"ok"
    elif not re.fullmatch(rb"[a-zA-Z0-9_.-]{1,64}", status):
        status = b"unknown"
    return Reply(
        id_of(headers, names)[0],
        status.decode(),
        (first_of(headers, "x-error") or b"")[:MAX_ERROR_BYTES].decode(errors="replace"),
        number_of(headers, "x-sequence", 10**12),
        bool(values_of(headers, "x-end")),
        number_of(headers, "x-cancel-partition", (1 << 31) - 1),
    )


# -- reading ---------------------------------------------------------------------------------


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


# -- which headers carry the id --------------------------------------------------------------


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


# -- there and back --------------------------------------------------------------------------


@given(
    id_=st.one_of(st.none(), IDS),
    id_name=st.sampled_from([None, "request_id", "My-Id"]),
    topics=st.lists(TOPICS, max_size=MAX_REPLY_TOPICS, unique=True),
    partition=st.one_of(st.none(), NUMBERS),
    timeout_ms=st.one_of(st.none(), NUMBERS),
    extra=st.lists(st.tuples(st.sampled_from(["request_id", "x-timeout-ms", "a"]), IDS)),
)
def test_a_server_reads_what_a_client_wrote(
    id_: bytes | None,
    id_name: str | None,
    topics: list[str],
    partition: int | None,
    timeout_ms: int | None,
    extra: list[tuple[str, bytes]],
) -> None:
    """Whatever headers the caller has put beside them."""
    reply_to = reply_to_headers(topics, partition)
    wire = Wire(("My-Id", "request_id"))
    headers = request_headers(id_, id_name, reply_to, timeout_ms, extra)
    request = wire.read_request(headers, b"key")
    if id_ is not None and id_name is not None:
        assert (request.id, request.id_name) == (id_, id_name)
    assert request.reply_topics == tuple(topics)
    assert (request.refused_topics, request.reply_partition) == (0, partition)
    if timeout_ms is not None:
        assert request.timeout_ms == timeout_ms
    assert not request.is_cancel
    assert headers[len(headers) - len(extra) :] == extra


@given(
    id_=IDS,
    id_name=st.sampled_from([None, "REQUEST_ID", "x-correlation-id"]),
    status=st.sampled_from([OK, "not_found", "my.own-1"]),
    error=st.text(max_size=50),
    sequence=st.one_of(st.none(), NUMBERS),
    is_end=st.booleans(),
    cancel_partition=st.one_of(st.none(), NUMBERS),
)
def test_a_client_reads_what_a_server_wrote(
    id_: bytes,
    id_name: str | None,
    status: str,
    error: str,
    sequence: int | None,
    is_end: bool,
    cancel_partition: int | None,
) -> None:
    headers = reply_headers(
        Request(id_, id_name),
        status,
        error,
        sequence=sequence,
        is_end=is_end,
        cancel_partition=cancel_partition,
    )
    expected_id = None if id_name is None else id_
    expected_error = "" if status == OK else error
    assert Wire().read_reply(headers) == Reply(
        expected_id, status, expected_error, sequence, is_end, cancel_partition
    )


def test_a_cancel_record_is_read_as_one() -> None:
    request = Wire().read_request(cancel_headers(b"\xff\x00", "request_id"), b"key")
    assert request == Request(b"\xff\x00", "request_id", is_cancel=True)


def test_the_headers_of_many_calls_are_not_changed_by_one() -> None:
    reply_to = reply_to_headers(["t"], 3)
    before = list(reply_to)
    request_headers(b"id", "request_id", reply_to, 5, [("a", b"b")]).append(("c", b"d"))
    assert reply_to == before


@pytest.mark.parametrize("character", ["e", "é", "€", "😀", "\ud800"])
@pytest.mark.parametrize("length", [MAX_ERROR_BYTES // 3, MAX_ERROR_BYTES + 1, 1 << 20])
def test_a_long_error_is_cut_between_characters(character: str, length: int) -> None:
    headers = dict(reply_headers(Request(None, None), "internal", character * length))
    assert len(headers["x-error"]) <= MAX_ERROR_BYTES
    read = Wire().read_reply(list(headers.items())).error
    assert set(read) == {character if character != "\ud800" else "?"}
    assert len(read.encode()) >= min(length, MAX_ERROR_BYTES - 3)


@pytest.mark.parametrize("status", ["", "no such", "é", "\ud800", "s" * 65, "ok\n"])
def test_what_cannot_be_a_status_is_sent_as_unknown(status: str) -> None:
    assert not is_status(status)
    assert ("x-status", b"unknown") in reply_headers(Request(None, None), status)


def test_ok_is_no_status_of_an_error() -> None:
    assert not is_status(OK)
    assert is_status("internal")
    assert is_status("s" * 64)


@pytest.mark.parametrize(
    ("make", "is_one"),
    [
        (lambda: b"", False),
        (lambda: b"\x00", True),
        (lambda: LONG_ID[1:], True),
        (lambda: LONG_ID, False),
    ],
)
def test_what_an_id_may_be(make: Callable[[], bytes], is_one: bool) -> None:
    assert is_id(make()) == is_one


# -- the examples in docs/wire.md ------------------------------------------------------------

PAGE = Path(__file__).parents[3] / "docs" / "wire.md"
HEADER = re.compile(r"`([\w-]+)`=`([^`]+)`")


def example_headers() -> dict[int, list[tuple[str, bytes]]]:
    """By the number of the row in the table of bytes."""
    rows: dict[int, list[tuple[str, bytes]]] = {}
    for line in PAGE.read_text("utf-8").splitlines():
        if row := re.match(r"\| (\d+) \|", line):
            rows[int(row[1])] = [(name, in_bytes(value)) for name, value in HEADER.findall(line)]
    return rows


def in_bytes(shown: str) -> bytes:
    return shown.strip('"').encode() if shown.startswith('"') else bytes.fromhex(shown)


def test_the_requests_on_the_page_are_what_a_client_writes() -> None:
    shown, name = example_headers(), "request_id"
    to_reply = reply_to_headers(["reply"], None)
    to_third = reply_to_headers(["reply"], 3)
    assert shown[1] == request_headers(b"7f3a-1", name, to_reply, 30_000)
    assert shown[4] == request_headers(b"7f3a-2", name, to_third, 500)
    assert shown[6] == request_headers(b"7f3a-3", None, to_reply, None)
    assert shown[10] == request_headers(b"7f3a-4", name, (), 30_000)
    assert shown[11] == request_headers(b"7f3a-5", name, to_reply, None)
    assert shown[14] == cancel_headers(b"7f3a-5", name)


def test_the_replies_on_the_page_are_what_a_server_writes() -> None:
    shown = example_headers()

    def asked(row: int) -> Request:
        return Wire().read_request(shown[row], b"7f3a-3")

    assert shown[2] == reply_headers(asked(1))
    assert shown[3] == reply_headers(asked(1), "not_found", "no apples")
    assert shown[5] == reply_headers(asked(4))
    assert shown[7] == reply_headers(asked(6))
    assert shown[9] == reply_headers(asked(8))
    assert shown[12] == reply_headers(asked(11), sequence=0, cancel_partition=2)
    assert shown[13] == reply_headers(asked(11), sequence=1, is_end=True, cancel_partition=2)
