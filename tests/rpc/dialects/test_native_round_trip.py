"""What a client or a server writes, the other one reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.rpc.dialects.messages import (
    MAX_ERROR_BYTES,
    MAX_REPLY_TOPICS,
    OK,
    Reply,
    Request,
    is_id,
    is_status,
)
from sdml_kafka.rpc.dialects.native import (
    NATIVE_REPLIES,
    Wire,
    cancel_headers,
    reply_to_headers,
    request_headers,
)
from tests.support.naive_codec import IDS, LONG_ID, NUMBERS, TOPICS

reply_headers = NATIVE_REPLIES.reply_headers


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
    """The headers that the caller has put beside them do not matter."""
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
    reply = Reply(id_, status, error, sequence, is_end, cancel_partition)
    headers = reply_headers(reply, id_name)
    if id_name is None:
        reply = reply._replace(id=None)
    if status == OK:
        reply = reply._replace(error="")
    assert Wire().read_reply(headers) == reply


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
    headers = dict(reply_headers(Reply(None, "internal", character * length), None))
    assert len(headers["x-error"]) <= MAX_ERROR_BYTES
    read = Wire().read_reply(list(headers.items())).error
    assert set(read) == {character if character != "\ud800" else "?"}
    assert len(read.encode()) >= min(length, MAX_ERROR_BYTES - 3)


@pytest.mark.parametrize("status", ["", "no such", "é", "\ud800", "s" * 65, "ok\n"])
def test_what_cannot_be_a_status_is_sent_as_unknown(status: str) -> None:
    assert not is_status(status)
    assert ("x-status", b"unknown") in reply_headers(Reply(None, status), None)


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
