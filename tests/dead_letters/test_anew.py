"""Where a dead letter is sent, and what is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka import Send
from sdml_kafka.dead_letters.anew import MAX_AHEAD_MS, NoTarget, record_for, target_of
from sdml_kafka.dead_letters.letter import Letter, read_letter
from sdml_kafka.transport.record_checks import is_topic_name
from tests.support.dead_letters import failure_headers
from tests.support.records import make_record

WRITTEN_MS = 9_000
"""When the dead letters were written."""


def letter_from(topic: str, timestamp_ms: int = 0) -> Letter:
    failure = failure_headers(topic, partition=3, timestamp_ms=timestamp_ms)
    headers = [("own", b"1"), *failure]
    record = make_record("dlt", 1, key=b"k", value=b"v", headers=headers, timestamp_ms=WRITTEN_MS)
    return read_letter(record)


def test_a_record_goes_out_as_it_was() -> None:
    letter = letter_from("orders", WRITTEN_MS + MAX_AHEAD_MS)
    assert target_of(letter, None) == "orders"
    assert record_for(letter, "orders") == Send(
        "orders", b"v", key=b"k", headers=[("own", b"1")], timestamp_ms=WRITTEN_MS + MAX_AHEAD_MS
    )
    assert record_for(letter, "orders", same_partition=True).partition == 3
    assert record_for(letter, "orders", new_time=True).timestamp_ms is None
    assert target_of(letter, "elsewhere") == "elsewhere"


def test_without_a_time_of_its_own_it_has_that_of_the_dead_letter() -> None:
    assert record_for(letter_from("orders"), "orders").timestamp_ms == WRITTEN_MS


@pytest.mark.parametrize("timestamp_ms", [WRITTEN_MS + MAX_AHEAD_MS + 1, 2**62, 2**63 - 1])
@pytest.mark.parametrize("prefix", ["kafka_dlt-", "kafka_"])
def test_a_time_that_cannot_be_its_own_is_not_sent(prefix: str, timestamp_ms: int) -> None:
    headers = [
        (name.replace("kafka_dlt-", prefix), value)
        for name, value in failure_headers("orders", timestamp_ms=timestamp_ms)
    ]
    letter = read_letter(make_record("dlt", headers=headers, timestamp_ms=WRITTEN_MS))
    assert letter.origin is not None
    assert record_for(letter, "orders").timestamp_ms == WRITTEN_MS


def test_a_dead_letter_without_a_time() -> None:
    letter = read_letter(make_record("dlt", timestamp_ms=-1))
    assert record_for(letter, "orders").timestamp_ms is None


def test_a_record_without_an_origin() -> None:
    letter = read_letter(make_record(timestamp_ms=9, value=None))
    with pytest.raises(NoTarget, match="do not say"):
        target_of(letter, None)
    assert record_for(letter, "orders", same_partition=True) == Send(
        "orders", None, key=None, headers=[], timestamp_ms=9
    )


@pytest.mark.parametrize("topic", ["__consumer_offsets", "__x", "a b", "", "..", "x" * 250, "ö"])
def test_topics_that_are_never_sent_to(topic: str) -> None:
    with pytest.raises(NoTarget, match="no topic to send to"):
        target_of(letter_from(topic), None)
    assert target_of(letter_from(topic), "orders") == "orders"


def test_no_record_goes_back_to_the_dead_letters() -> None:
    with pytest.raises(NoTarget, match="dead letters themselves"):
        target_of(letter_from("dlt"), None)


@given(st.binary(max_size=300))
def test_whatever_the_header_holds(name: bytes) -> None:
    headers = [
        (header, name if header == "kafka_dlt-original-topic" else value)
        for header, value in failure_headers("orders")
    ]
    letter = read_letter(make_record("dlt", headers=headers))
    try:
        topic = target_of(letter, None)
    except NoTarget:
        return
    assert is_topic_name(topic)
    assert not topic.startswith("__")


def test_a_dead_letter_of_a_share_group() -> None:
    headers = [("own", b"1"), ("__dlq.errors.topic", b"orders")]
    headers += [("__dlq.errors.partition", b"3"), ("__dlq.errors.offset", b"99")]
    letter = read_letter(make_record("dlt", value=b"v", headers=headers, timestamp_ms=9))
    assert target_of(letter, None) == "orders"
    assert record_for(letter, "orders") == Send(
        "orders", b"v", key=None, headers=[("own", b"1")], timestamp_ms=9
    )
    empty = read_letter(make_record("dlt", value=None, headers=headers))
    for to in (None, "elsewhere"):  # the group may be set up not to copy its records
        with pytest.raises(NoTarget, match="no copy of the record"):
            target_of(empty, to)
