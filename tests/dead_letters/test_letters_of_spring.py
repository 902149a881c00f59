"""A retry record and dead letters as Spring Boot 3.5.16 has written them, stack traces cut."""

from typing import Any

from sdml_kafka.dead_letters.anew import record_for, target_of
from sdml_kafka.dead_letters.letter import read_letter
from sdml_kafka.listener.processing.spring_headers import (
    MAX_OFFSET,
    attempt_of,
    due_ms,
    origin_of,
    retry_headers,
)
from tests.support.records import make_record

FQCN = b"org.springframework.kafka.listener.ListenerExecutionFailedException"
TRACE = FQCN + b": Listener failed\n\tat org.springframework.kafka.listener"
NOT_PARSED = b"org.springframework.kafka.support.serializer.DeserializationException"
CAUSE = b"java.lang.IllegalStateException"
TIME = b"\x01\xa2*Xa\xf0"
ORIGIN = [
    ("kafka_original-topic", b"retried"),
    ("kafka_original-partition", b"\x00\x00\x00\x02"),
    ("kafka_original-offset", b"\x00\x00\x00\x00\x00\x00\x00\x07"),
    ("kafka_original-timestamp", b"\x00\x00" + TIME),
    ("kafka_original-timestamp-type", b"CreateTime"),
    ("kafka_dlt-original-consumer-group", b"billing"),
]
ERROR = [
    ("kafka_exception-fqcn", FQCN),
    ("kafka_exception-cause-fqcn", CAUSE),
    ("kafka_exception-message", b"Listener failed; order-1 cannot be done"),
    ("kafka_exception-stacktrace", TRACE),
]
FIRST_STEP = [
    ("retry_topic-original-timestamp", TIME),
    ("retry_topic-attempts", b"\x00\x00\x00\x02"),
    ("retry_topic-backoff-timestamp", b"\x01\xa2*Xf-"),
]
LATER_STEPS = [
    ("retry_topic-original-timestamp", TIME),
    ("retry_topic-attempts", b"\x00\x00\x00\x03"),
    ("retry_topic-backoff-timestamp", b"\x01\xa2*Xn\xc2"),
]
LAST_STEP = [
    ("retry_topic-original-timestamp", TIME),
    ("retry_topic-attempts", b"\x00\x00\x00\x04"),
    ("retry_topic-backoff-timestamp", b"\x01\xa2*XoC"),
]
MINE = [("mine", b"x")]
RETRIED = [*MINE, *ERROR, *ORIGIN, *FIRST_STEP]
"""In the first retry topic."""
DEAD = [*MINE, *ORIGIN, *FIRST_STEP, *LATER_STEPS, *ERROR, *LAST_STEP]
"""After two retry topics."""
RECOVERED = [
    *MINE,
    ("kafka_dlt-exception-fqcn", FQCN),
    ("kafka_dlt-exception-cause-fqcn", CAUSE),
    ("kafka_dlt-exception-message", b"Listener method threw exception; order-2 cannot be done"),
    ("kafka_dlt-exception-stacktrace", TRACE),
    ("kafka_dlt-original-topic", b"recovered"),
    ("kafka_dlt-original-partition", b"\x00\x00\x00\x01"),
    ("kafka_dlt-original-offset", b"\x00\x00\x00\x00\x00\x00\x00\x00"),
    ("kafka_dlt-original-timestamp", b"\x00\x00\x01\xa2*Xb\r"),
    ("kafka_dlt-original-timestamp-type", b"CreateTime"),
    ("kafka_dlt-original-consumer-group", b"billing"),
]
"""By a `DeadLetterPublishingRecoverer`."""

KEY_FAILED = [
    *MINE,
    ("kafka_key-exception-fqcn", NOT_PARSED),
    ("kafka_exception-cause-fqcn", NOT_PARSED),
    ("kafka_key-exception-message", b"failed to deserialize"),
    ("kafka_key-exception-stacktrace", NOT_PARSED + b": failed to deserialize"),
    *ORIGIN,
    *FIRST_STEP,
]
"""Of a record whose key did not parse."""


def place_of(origin: Any) -> tuple[str, int, int, int]:
    return origin.topic, origin.partition, origin.offset, origin.timestamp_ms


def test_the_dead_letter_after_retry_topics() -> None:
    letter = read_letter(make_record("retried-dlt", 2, headers=DEAD))
    assert place_of(letter.origin) == ("retried", 2, 7, int.from_bytes(TIME, "big"))
    assert (letter.attempt, letter.group) == (3, "billing")
    assert (letter.exception, letter.cause) == (FQCN.decode(), CAUSE.decode())
    assert letter.message == "Listener failed; order-1 cannot be done"
    assert letter.stack_trace == TRACE


def test_the_dead_letter_of_a_recoverer() -> None:
    letter = read_letter(make_record("recovered-dlt", 1, headers=RECOVERED))
    assert place_of(letter.origin) == ("recovered", 1, 0, 1_796_006_765_069)
    assert (letter.attempt, letter.group) == (None, "billing")
    assert (letter.exception, letter.cause) == (FQCN.decode(), CAUSE.decode())


def test_the_dead_letter_of_a_key_that_does_not_parse() -> None:
    letter = read_letter(make_record("retried-dlt", 2, headers=KEY_FAILED))
    assert place_of(letter.origin) == ("retried", 2, 7, int.from_bytes(TIME, "big"))
    assert letter.exception == letter.cause == NOT_PARSED.decode()
    assert letter.message == "failed to deserialize"
    assert letter.stack_trace == NOT_PARSED + b": failed to deserialize"


def test_what_is_sent_anew_has_no_header_of_the_failure() -> None:
    found = (DEAD, "retried"), (KEY_FAILED, "retried"), (RECOVERED, "recovered")
    for headers, topic in found:
        letter = read_letter(make_record(f"{topic}-dlt", 0, headers=headers))
        assert target_of(letter, None) == topic
        assert list(record_for(letter, topic).headers) == MINE


def test_a_retry_record_goes_on_where_spring_was() -> None:
    record = make_record("retried-retry-1000", 2, headers=RETRIED)
    assert attempt_of(record.headers) == 2
    assert due_ms(record.headers, MAX_OFFSET) == int.from_bytes(b"\x01\xa2*Xf-", "big")
    again = retry_headers(record, ValueError("no"), "other", 3, 5)
    assert place_of(origin_of(record)) == ("retried", 2, 7, int.from_bytes(TIME, "big"))
    assert [pair for pair in again if pair in ORIGIN] == ORIGIN
    assert [name for name, _ in again].count("kafka_exception-fqcn") == 1
    assert (attempt_of(again), due_ms(again, MAX_OFFSET)) == (3, 5)


def test_an_error_of_a_key_does_not_outlive_the_next_error() -> None:
    record = make_record("retried-retry-1000", 2, headers=KEY_FAILED)
    letter = read_letter(
        make_record(headers=list(retry_headers(record, ValueError("no"), "other", 3, 5)))
    )
    assert (letter.exception, letter.message, letter.cause) == ("builtins.ValueError", "no", None)
    assert not [name for name, _ in letter.record.headers if "key-exception" in name]
