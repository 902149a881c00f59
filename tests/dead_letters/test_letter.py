"""What is read from a dead letter, and how it is written down."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.dead_letters.letter import as_json, as_text, read_letter
from sdml_kafka.listener.processing.spring_headers import dead_letter_headers, retry_headers
from tests.support.dead_letters import Broken, failure_headers
from tests.support.records import make_record

NAMES = st.sampled_from(
    [
        f"{kind}{name}"
        for kind in ("kafka_dlt-", "kafka_")
        for name in (
            "original-topic",
            "original-partition",
            "original-offset",
            "original-timestamp",
            "exception-fqcn",
            "exception-message",
            "exception-stacktrace",
            "original-consumer-group",
        )
    ]
    + ["retry_topic-attempts"]
    + [f"__dlq.errors.{name}" for name in ("topic", "partition", "offset", "delivery.count")]
)


def fields(headers: Any) -> dict[str, Any]:
    record = make_record("orders-dlt", 1, offset=7, headers=list(headers), timestamp_ms=1_000)
    found: dict[str, Any] = json.loads(as_json(read_letter(record)))
    return found


def test_a_plain_dead_letter() -> None:
    assert fields(failure_headers("orders", partition=3, offset=99)) == {
        "partition": 1,
        "offset": 7,
        "when": "1970-01-01T00:00:01.000Z",
        "from": {"topic": "orders", "partition": 3, "offset": 99},
        "group": "billing",
        "attempts": None,
        "exception": "tests.support.dead_letters.Broken",
        "cause": None,
        "message": "no stock",
    }


def test_a_plain_dead_letter_after_attempts_in_place() -> None:
    record = make_record("orders", 3, offset=99)
    assert fields(dead_letter_headers(record, Broken("again"), "billing", 3))["attempts"] == 3


def of_share_group(**changed: bytes) -> list[tuple[str, bytes]]:
    said = {
        "topic": b"orders",
        "partition": b"3",
        "offset": b"99",
        "group": b"sharers",
        "delivery.count": b"5",
        "message": b"rejected",
        **changed,
    }
    return [(f"__dlq.errors.{name}", value) for name, value in said.items()]


def test_a_dead_letter_of_a_share_group() -> None:
    found = fields(of_share_group())
    assert found["from"] == {"topic": "orders", "partition": 3, "offset": 99}
    assert (found["group"], found["attempts"], found["message"]) == ("sharers", 5, "rejected")
    assert found["exception"] is found["cause"] is None


@pytest.mark.parametrize("number", [b"", b"-1", b"1e3", b"9" * 19, b"9" * 5000, b"\xb2", b" 1"])
def test_numbers_of_a_share_group_that_cannot_be(number: bytes) -> None:
    found = fields(of_share_group(offset=number, **{"delivery.count": number}))
    assert found["from"] is found["attempts"] is None
    assert found["message"] == "rejected"


def test_a_dead_letter_after_retry_topics() -> None:
    error = Broken("again")
    error.__cause__ = OSError("disk")
    record = make_record("orders", 3, offset=99)
    found = fields(retry_headers(record, error, "billing", 4, 5_000))
    assert found["from"] == {"topic": "orders", "partition": 3, "offset": 99}
    assert (found["attempts"], found["cause"], found["group"]) == (3, "builtins.OSError", "billing")


def test_a_record_that_is_no_dead_letter() -> None:
    found = fields([])
    assert (found["from"], found["exception"], found["message"]) == (None, None, None)


@given(st.lists(st.tuples(NAMES | st.text(), st.binary(max_size=600)), max_size=9), st.binary())
def test_whatever_headers_hold_is_printable_ascii(
    headers: list[tuple[str, bytes]], value: bytes
) -> None:
    letter = read_letter(make_record(headers=headers, value=value, timestamp_ms=(1 << 63) - 1))
    line = as_json(letter)
    assert line.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    assert all(0x20 <= byte < 0x7F or byte in b"\n\t" for byte in as_text(letter))


def test_what_is_long_is_cut() -> None:
    record = make_record(headers=list(failure_headers("orders", error=Broken("x" * 5_000))))
    assert len(as_json(read_letter(record))) < 1_000
    large = make_record(value=b"x" * 5_000_000)
    assert len(as_text(read_letter(large))) < 150_000
    assert b"(4,900,000 bytes more)" in as_text(read_letter(large))


def test_a_value_cannot_look_like_the_rest() -> None:
    record = make_record(
        "dlt", 1, offset=7, value=b"a\nheaders:\n\x1b[31m\xff", key=None, headers=[("h", b"1\n2")]
    )
    assert as_text(read_letter(record)).decode() == (
        "partition 1, offset 7\n"
        "written    1970-01-01T00:00:00.000Z\n"
        "from       (its headers do not say so)\n"
        "headers:\n"
        "  h = 1 2\n"
        "key: none\n"
        "value:\n"
        "  a\n"
        "  headers:\n"
        "  \\x1b[31m\\xff\n"
    )


def test_a_header_without_a_value_is_shown_as_an_empty_one() -> None:
    headers: list[Any] = [("h", None)]
    assert b"\n  h = \n" in as_text(read_letter(make_record(headers=headers)))
