"""The codecs of Spring and NestJS: whatever bytes they read, and what they write for each other."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.rpc.dialects.foreign import (
    CORRELATION_ID,
    NEST_ERROR,
    NEST_IS_DISPOSED,
    REPLY_PARTITION,
    REPLY_TOPIC,
    TYPE_ID,
    ForeignDialect,
    reply_to_headers,
)
from sdml_kafka.rpc.dialects.messages import (
    MAX_ERROR_BYTES,
    MAX_ID_BYTES,
    OK,
    UNKNOWN,
    Reply,
    Request,
    is_status,
)
from sdml_kafka.rpc.dialects.native import MAX_ROUTE_BYTES, MAX_ROUTES, Wire
from sdml_kafka.rpc.dialects.nestjs import NestCodec, read_error
from sdml_kafka.rpc.dialects.spring import SENT_AN_ERROR, SpringCodec
from sdml_kafka.rpc.dialects.union import Union, dialect_of, partition_in
from tests.support.naive_codec import IDS, TOPICS

UNION = Union(frozenset({"spring", "nestjs"}), (SENT_AN_ERROR, "own"))
CODECS: list[ForeignDialect] = [SpringCodec((SENT_AN_ERROR,)), NestCodec()]
NAMES = st.sampled_from(
    [
        *(CORRELATION_ID, REPLY_TOPIC, REPLY_PARTITION, NEST_ERROR, NEST_IS_DISPOSED),
        *(SENT_AN_ERROR, "x-status", "x-error", "__TypeId__", "kafka_CorrelationId", "other"),
    ]
)
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.sampled_from([b"", b"ok", b"0", b"7", b"\x00\x00\x00\x01", b"a.reply", b"{}", b"[[[["]),
    st.text(max_size=20).map(lambda text: json.dumps({"status": text, "message": text}).encode()),
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


def flat(headers: Any) -> tuple[Any, ...]:
    return tuple(each for header in headers for each in header)


@given(headers=HEADERS)
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_any_headers_are_read_as_some_reply(codec: ForeignDialect, headers: Any) -> None:
    reply = codec.read_flat_reply(flat(headers))
    assert reply.id is None or 0 < len(reply.id) <= MAX_ID_BYTES
    assert reply.status == OK or is_status(reply.status)
    assert len(reply.error.encode()) <= 3 * MAX_ERROR_BYTES
    assert reply.sequence is None
    plain_id = codec.plain_id(flat(headers))
    if plain_id is not None:
        assert reply == Reply(plain_id)
    ids = [value for name, value in headers if name == CORRELATION_ID]
    assert reply.id == ((ids[-1] or None) if ids else None)


@given(headers=HEADERS)
def test_any_headers_are_read_as_some_request_or_none(headers: Any) -> None:
    request = UNION.read_request(flat(headers), "a")
    topics = [value for name, value in headers if name == REPLY_TOPIC]
    if not topics or topics[-1] is None:
        assert request is None
        return
    assert request is not None
    assert len(request.reply_topics) + request.refused_topics == 1
    assert request.id_name == (None if request.id is None else CORRELATION_ID)
    assert request.reply_partition is None or 0 <= request.reply_partition < 1 << 31
    ids = [value for name, value in headers if name == CORRELATION_ID]
    partitions = [value for name, value in headers if name == REPLY_PARTITION]
    assert request.id == ((ids[-1] or None) if ids else None)
    assert request.reply_partition == partition_in(partitions[-1] if partitions else None)
    assert dialect_of(flat(headers), "a") in ("spring", "nestjs")


@given(
    some=st.lists(
        st.lists(
            st.tuples(
                st.one_of(
                    NAMES,
                    st.sampled_from(
                        ["x-timeout-ms", "X-Timeout-Ms", "x-reply-topic", "x-cancel", "request_id"]
                    ),
                ),
                VALUES,
            ),
            max_size=6,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_remembered_of_headers_changes_nothing(some: Any) -> None:
    wire, union = Wire(sign_of_others=UNION.sign), Union(UNION.names, UNION.error_headers)
    without_ids = ([each for each in headers if each[0] != CORRELATION_ID] for headers in some)
    for headers in (*some, *some, *without_ids):
        plain, short = Wire().read_request(headers, b"key"), wire.read_request(headers, b"key")
        if (short.id, short.id_name) == (None, None):
            short = short._replace(id=plain.id, id_name=plain.id_name)
        assert short == plain
        fresh = Union(UNION.names, UNION.error_headers)
        assert union.read_request(flat(headers), "a") == fresh.read_request(flat(headers), "a")


def test_what_is_remembered_of_headers_is_bounded() -> None:
    wire, union = Wire(sign_of_others=UNION.sign), Union(UNION.names, UNION.error_headers)
    for number in range(2 * MAX_ROUTES):
        topic = b"%d" % number
        headers = (CORRELATION_ID, b"1", REPLY_TOPIC, topic, f"own-{number}", b"")
        wire.read_flat_request(headers, None)
        union.read_request(headers[:4], "a")
        union.read_request(headers, "a")
    long = (CORRELATION_ID, b"1", REPLY_TOPIC, b"a", TYPE_ID, b"x" * MAX_ROUTE_BYTES)
    assert union.read_request(long, "a") == Request(b"1", CORRELATION_ID, ("a",))
    assert union.read_request(headers[2:4], "a") == Request(None, None, (topic.decode(),))
    assert len(wire._foreign) <= MAX_ROUTES
    assert 0 < len(union._routes) <= MAX_ROUTES
    assert all(len(each) <= 2 for each in union._routes)


@given(
    id_=IDS,
    topic=TOPICS,
    partition=st.one_of(st.none(), st.integers(0, (1 << 24) - 1)),
)
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_server_reads_what_a_client_wrote(
    codec: ForeignDialect, id_: bytes, topic: str, partition: int | None
) -> None:
    headers = [(CORRELATION_ID, id_), *reply_to_headers(codec, topic, partition)]
    request = UNION.read_request(flat(headers), "other")
    assert request == Request(id_, CORRELATION_ID, (topic,), 0, partition)
    if partition is not None:
        assert dialect_of(flat(headers), "other") == codec.name


@given(
    id_=IDS,
    status=st.one_of(st.sampled_from([OK, "not_found", "deadline_exceeded"]), st.text(max_size=9)),
    error=st.text(max_size=50),
)
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_client_reads_what_a_server_wrote(
    codec: ForeignDialect, id_: bytes, status: str, error: str
) -> None:
    headers = UNION.reply_headers(Reply(id_, status, error), CORRELATION_ID)
    names = [name for name, _ in headers]
    assert len(names) == len(set(names))
    reply = codec.read_flat_reply(flat(headers))
    if status == OK:
        assert reply == Reply(id_)
        assert codec.plain_id(flat(headers)) == id_
    else:
        expected = status if is_status(status) else UNKNOWN
        shown = error.encode("utf-8", "replace").decode()
        assert reply == Reply(id_, expected, shown)
        assert dict(headers)[NEST_ERROR]
        assert dict(headers)[SENT_AN_ERROR] == (shown or expected).encode()
        assert read_error(dict(headers)[NEST_ERROR]) == (expected, shown)


@pytest.mark.parametrize(
    ("sequence", "is_end", "names"),
    [
        (None, False, [CORRELATION_ID, NEST_IS_DISPOSED]),
        (0, False, [CORRELATION_ID]),
        (3, True, [CORRELATION_ID, NEST_IS_DISPOSED]),
    ],
)
def test_the_end_is_on_the_only_and_on_the_last_reply(
    sequence: int | None, is_end: bool, names: list[str]
) -> None:
    reply = Reply(b"1", sequence=sequence, is_end=is_end, cancel_partition=1)
    headers = UNION.reply_headers(reply, CORRELATION_ID)
    assert [name for name, _ in headers] == names


@pytest.mark.parametrize(
    ("value", "partition"),
    [
        *((b"\x00\x00\x00\x00", 0), (b"\x00\x00\x00\x05", 5), (b"\x00\xff\xff\xff", 0xFFFFFF)),
        *((b"0", 0), (b"0000", 0), (b"1234", 1234), (b"2147483647", (1 << 31) - 1)),
        *((b"2147483648", None), (b"\x01\x00\x00\x00", None), (b"\xff\xff\xff\xff", None)),
        *((b"", None), (None, None), (b"-1", None), (b"\x00", None), (b"1.0", None)),
    ],
)
def test_both_forms_of_a_partition(value: bytes | None, partition: int | None) -> None:
    assert partition_in(value) == partition


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([(REPLY_TOPIC, b"a.reply"), (CORRELATION_ID, b"0123456789abcdef01234")], "nestjs"),
        ([(REPLY_TOPIC, b"a.reply"), (CORRELATION_ID, b"0123456789ABCDEF01234")], "spring"),
        ([(REPLY_TOPIC, b"a.reply"), (CORRELATION_ID, b"0123456789abcdef0123")], "spring"),
        ([(REPLY_TOPIC, b"b.reply"), (CORRELATION_ID, b"0123456789abcdef01234")], "spring"),
        ([(REPLY_TOPIC, b"b"), (REPLY_PARTITION, b"10")], "nestjs"),
        ([(REPLY_TOPIC, b"b"), (REPLY_PARTITION, b"\x00\x00\x00\x0a")], "spring"),
        ([(REPLY_TOPIC, b"b")], "spring"),
    ],
)
def test_which_of_the_two_it_was(headers: Any, name: str) -> None:
    assert dialect_of(flat(headers), "a") == name


def test_a_long_text_is_cut_in_each_header() -> None:
    error = Reply(b"1", "internal", "é" * (1 << 20))
    headers = dict(UNION.reply_headers(error, CORRELATION_ID))
    assert max(map(len, headers.values())) <= MAX_ERROR_BYTES + 100
    assert json.loads(headers[NEST_ERROR])["message"] == "é" * (MAX_ERROR_BYTES // 2)


@pytest.mark.parametrize("text", [b"no figs", None])
def test_a_status_without_a_value_hides_no_error_of_spring(text: bytes | None) -> None:
    headers = (CORRELATION_ID, b"1", "x-status", None, SENT_AN_ERROR, text)
    shown = "" if text is None else text.decode()
    assert SpringCodec((SENT_AN_ERROR,)).read_flat_reply(headers) == Reply(b"1", UNKNOWN, shown)


def test_an_error_that_is_too_deep_to_be_written_is_shown_as_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dumps(message: object) -> str:
        raise RecursionError

    monkeypatch.setattr(json, "dumps", dumps)
    error = b'{"status": "deep", "message": [[]]}'
    assert read_error(error) == ("deep", error.decode())
