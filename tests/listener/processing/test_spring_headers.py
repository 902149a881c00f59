"""Spring's headers: the bytes that are written, and what is made of bytes that others wrote."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.listener.processing.spring_headers import (
    ATTEMPTS,
    DUE,
    MAX_MESSAGE,
    MAX_OFFSET,
    MAX_STACKTRACE,
    ORIGINAL_TIME,
    Origin,
    attempt_of,
    attempts_in_place,
    dead_letter_headers,
    dead_letter_origin,
    due_ms,
    origin_of,
    own_origin,
    retry_headers,
    shortened,
    without_failure,
)
from sdml_kafka.transport.fetched.record import FetchedRecord
from tests.support.records import make_record

NOW_MS = 0x0193_7654_3210
Headers = list[tuple[str, bytes]]

foreign = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from(
                [
                    ATTEMPTS,
                    DUE,
                    ORIGINAL_TIME,
                    *(
                        f"{prefix}original-{what}"
                        for prefix in ("kafka_", "kafka_dlt-")
                        for what in ("topic", "partition", "offset", "timestamp", "timestamp-type")
                    ),
                    "kafka_exception-message",
                    "kafka_dlt-exception-fqcn",
                ]
            ),
            st.text(max_size=20),
        ),
        st.one_of(st.none(), st.binary(max_size=12)),
    ),
    max_size=12,
)
"""Headers as anybody could have written them, null values included."""


def record_of(
    headers: Sequence[tuple[str, bytes]] = (), *, timestamp_type: int = 0, **place: Any
) -> FetchedRecord:
    where = {"topic": "orders", "partition": 3, "offset": 258, "timestamp_ms": NOW_MS, **place}
    record = make_record(**where, key=b"k", value=b"v", headers=list(headers))
    return record._replace(timestamp_type=timestamp_type)


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """Return the error with a stack trace."""
    try:
        raise error from cause
    except Exception as caught:
        return caught


def test_a_plain_dead_letter_has_the_bytes_of_springs_recoverer() -> None:
    error = raised(ValueError("no such ünit"), KeyError("x"))
    headers = dead_letter_headers(record_of([("trace", b"1")]), error, "billing")
    assert headers[:-1] == [
        ("trace", b"1"),
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-original-partition", b"\0\0\0\3"),
        ("kafka_dlt-original-offset", b"\0\0\0\0\0\0\1\2"),
        ("kafka_dlt-original-timestamp", b"\0\0\x01\x93\x76\x54\x32\x10"),
        ("kafka_dlt-original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", b"billing"),
        ("kafka_dlt-exception-fqcn", b"builtins.ValueError"),
        ("kafka_dlt-exception-cause-fqcn", b"builtins.KeyError"),
        ("kafka_dlt-exception-message", "no such ünit".encode()),
    ]
    name, trace = headers[-1]
    assert name == "kafka_dlt-exception-stacktrace"
    assert trace.startswith(b"KeyError: 'x'")
    assert trace.endswith("ValueError: no such ünit\n".encode())


def test_a_retry_record_has_the_bytes_of_retryable_topics() -> None:
    record = record_of([("trace", b"1")], timestamp_type=1)
    headers = retry_headers(record, raised(OSError("down")), "billing", 2, NOW_MS + 5000)
    assert [pair for pair in headers if "stacktrace" not in pair[0]] == [
        ("trace", b"1"),
        ("kafka_original-topic", b"orders"),
        ("kafka_original-partition", b"\0\0\0\3"),
        ("kafka_original-offset", b"\0\0\0\0\0\0\1\2"),
        ("kafka_original-timestamp", b"\0\0\x01\x93\x76\x54\x32\x10"),
        ("kafka_original-timestamp-type", b"LogAppendTime"),
        ("kafka_dlt-original-consumer-group", b"billing"),
        ("retry_topic-original-timestamp", b"\x01\x93\x76\x54\x32\x10"),
        ("kafka_exception-fqcn", b"builtins.OSError"),
        ("kafka_exception-message", b"down"),
        ("retry_topic-attempts", b"\0\0\0\2"),
        ("retry_topic-backoff-timestamp", b"\x01\x93\x76\x54\x45\x98"),
    ]


def test_the_way_through_retry_topics_keeps_the_origin_and_replaces_the_error() -> None:
    first = retry_headers(record_of(), raised(OSError("down")), "billing", 2, NOW_MS)
    again = record_of(first, topic="orders-retry-5000", offset=7, timestamp_ms=NOW_MS + 1)
    second = retry_headers(again, raised(ValueError("bad")), "billing", 3, NOW_MS + 60_000)
    names = [name for name, _ in second]
    assert names.count("kafka_original-topic") == names.count(ORIGINAL_TIME) == 1
    assert [value for name, value in second if name == "kafka_exception-message"] == [b"bad"]
    assert names.count(ATTEMPTS) == names.count(DUE) == 2
    assert attempt_of(second) == 3
    assert due_ms(second, NOW_MS + 60_000) == NOW_MS + 60_000
    origin = Origin("orders", 3, 258, NOW_MS, 0)
    assert origin_of(again) == origin_of(record_of(second)) == origin
    assert dead_letter_origin(second) == origin


def test_a_plain_dead_letter_that_fails_again_shows_its_last_place() -> None:
    first = dead_letter_headers(record_of(), raised(OSError("down")), "billing")
    replayed = record_of(first, offset=300)
    second = dead_letter_headers(replayed, raised(OSError("still")), "billing")
    assert dead_letter_origin(second) == own_origin(replayed)
    assert [value for name, value in second if name.endswith("exception-message")] == [b"still"]


def test_attempts_in_place_are_the_last_header_and_never_those_of_an_earlier_failure() -> None:
    first = dead_letter_headers(record_of(), raised(OSError("down")), "billing", 3)
    assert first[-1] == ("sdml_kafka-attempts", b"3")
    assert attempts_in_place(first) == 3
    second = dead_letter_headers(record_of(first), raised(OSError("still")), "billing", 5)
    assert [value for name, value in second if name == "sdml_kafka-attempts"] == [b"5"]
    unparsed = dead_letter_headers(record_of(first), raised(OSError("still")), "billing")
    assert attempts_in_place(unparsed) is None


@pytest.mark.parametrize("value", [b"", b"0", b"-1", b"1.5", b"32768", b"9" * 5000, b"\xb2"])
def test_attempts_in_place_that_cannot_be(value: bytes) -> None:
    assert attempts_in_place([("sdml_kafka-attempts", value)]) is None


def test_sending_anew_takes_off_what_failing_put_on() -> None:
    sent = [("trace", b"1"), ("kafka_correlationId", b"2")]
    error = raised(OSError("down"))
    assert without_failure(dead_letter_headers(record_of(sent), error, "g", 3)) == sent
    assert without_failure(retry_headers(record_of(sent), error, "g", 2, NOW_MS)) == sent


@pytest.mark.parametrize(
    ("value", "attempt"),
    [
        (b"\0\0\0\1", 1),
        (b"\0\0\0\x07", 7),
        (b"\0\0\x7f\xff", 32_767),
        (b"\x07", 7),
        (b"\0\0\x80\0", 1),
        (b"\0\0\0\0", 1),
        (b"\xff\xff\xff\xff", 1),
        (b"\xff", 1),
        (b"", 1),
        (b"\0\7", 1),
        (b"\0\0\0\0\7", 1),
    ],
)
def test_attempts_are_bounded(value: bytes, attempt: int) -> None:
    assert attempt_of([(ATTEMPTS, b"\0\0\0\x63"), (ATTEMPTS, value)]) == attempt


def test_without_a_header_a_record_is_at_its_first_attempt() -> None:
    assert attempt_of([("other", b"\0\0\0\7")]) == 1


@pytest.mark.parametrize(
    ("value", "due"),
    [
        (b"\x01\x93\x76\x54\x32\x10", NOW_MS),
        (b"\0\0\x01\x93\x76\x54\x32\x10", NOW_MS),
        (b"\0", 0),
        (b"\x01\x93\x76\x54\x32\x11", None),
        (b"\x7f" + b"\xff" * 7, None),
        (b"\xff", None),
        (b"", None),
        (b"\0" * 9, None),
    ],
)
def test_times_are_bounded(value: bytes, due: int | None) -> None:
    assert due_ms([(DUE, b"\1"), (DUE, value)], NOW_MS) == due


@given(st.integers(0, MAX_OFFSET))
def test_a_time_is_read_as_it_was_written(time_ms: int) -> None:
    headers = retry_headers(record_of(), ValueError("x"), "g", 2, time_ms)
    assert due_ms(headers, MAX_OFFSET) == time_ms
    (written,) = [value for name, value in headers if name == DUE]
    # Java's BigInteger leaves out each byte that the one behind it implies.
    assert len(written) == 1 or not (written[0] == 0 and written[1] < 0x80)


@given(st.integers(-(1 << 63), -1))
def test_times_before_the_epoch_are_written_as_shortly(time_ms: int) -> None:
    headers = retry_headers(record_of(timestamp_ms=time_ms), ValueError("x"), "g", 2, 0)
    (written,) = [value for name, value in headers if name == ORIGINAL_TIME]
    assert int.from_bytes(written, "big", signed=True) == time_ms
    assert len(written) == 1 or not (written[0] == 0xFF and written[1] >= 0x80)


@given(st.integers(1, 1 << 40))
def test_attempts_are_written_within_their_bound(attempt: int) -> None:
    headers = retry_headers(record_of(), ValueError("x"), "g", attempt, NOW_MS)
    assert attempt_of(headers) == min(attempt, 32_767)


@given(foreign)
def test_whatever_others_wrote_is_read_within_bounds(headers: Headers) -> None:
    assert 1 <= attempt_of(headers) <= 32_767
    due = due_ms(headers, NOW_MS)
    assert due is None or 0 <= due <= NOW_MS
    for origin in (origin_of(record_of(headers)), dead_letter_origin(headers)):
        if origin is not None:
            assert 0 <= origin.partition < 1 << 31
            assert 0 <= origin.offset <= MAX_OFFSET
            assert 0 <= origin.timestamp_ms <= MAX_OFFSET
            assert origin.timestamp_type in (0, 1)
            origin.topic.encode()


@given(foreign)
def test_whatever_others_wrote_a_retry_record_can_be_read(headers: Headers) -> None:
    record = record_of(headers)
    written = retry_headers(record, raised(ValueError("x")), "g", 4, NOW_MS)
    assert (attempt_of(written), due_ms(written, NOW_MS)) == (4, NOW_MS)
    assert origin_of(record_of(written)) == origin_of(record)
    dead = dead_letter_headers(record, raised(ValueError("x")), "g")
    assert dead_letter_origin(dead) == own_origin(record)


@given(foreign)
def test_headers_that_say_nothing_about_failures_are_kept_in_order(headers: Headers) -> None:
    plain = [pair for pair in headers if not pair[0].startswith(("kafka_", "retry_topic-"))]
    for written in (
        retry_headers(record_of(headers), ValueError("x"), "g", 2, NOW_MS),
        dead_letter_headers(record_of(headers), ValueError("x"), "g"),
    ):
        kept = [pair for pair in written if not pair[0].startswith(("kafka_", "retry_topic-"))]
        assert kept == plain


@given(foreign)
def test_whatever_others_wrote_can_be_shortened(headers: Headers) -> None:
    once = shortened([*headers, ("kafka_dlt-exception-message", None)])  # type: ignore[list-item]
    assert shortened(once) == once


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("error", [Silent(), Silent(Silent()), ExceptionGroup("g", [Silent()])])
def test_an_error_without_a_text_has_headers_all_the_same(error: Exception) -> None:
    headers = dict(dead_letter_headers(record_of(), raised(error), "g"))
    assert headers["kafka_dlt-exception-fqcn"].endswith(type(error).__qualname__.encode())
    assert headers["kafka_dlt-exception-message"]


@pytest.mark.parametrize("text", ["x" * 10**6, "\ud800", "ü" * 10**6])
def test_the_texts_of_errors_are_bounded_and_utf_8(text: str) -> None:
    headers = dict(dead_letter_headers(record_of(), raised(ValueError(text)), "g"))
    for name, most in (("message", MAX_MESSAGE), ("stacktrace", MAX_STACKTRACE)):
        decoded = headers[f"kafka_dlt-exception-{name}"].decode()
        assert 0 < len(decoded) <= most * 6
