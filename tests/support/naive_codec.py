"""A naive reader of the native headers, and headers of any kind for it and the codec to read."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from sdml_kafka.rpc.dialects.messages import (
    MAX_ERROR_BYTES,
    MAX_ID_BYTES,
    MAX_REPLY_TOPICS,
    ForeignHeaders,
    Reply,
    Request,
)
from sdml_kafka.rpc.dialects.native import ID_NAMES, Wire

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
