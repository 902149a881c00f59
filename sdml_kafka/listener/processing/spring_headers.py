"""The headers of retry records and dead letters, byte for byte as Spring Kafka writes them.

Facts are those of Spring Kafka 4.1, which are the same in 3.3. There are two sets of names. The
dead letter of a record that was tried in place alone has the one with `kafka_dlt-`, as Spring's
recoverer writes it. A record that goes through retry topics has the other one, as `@RetryableTopic`
writes it, and so has the dead letter after them.

One header of a plain dead letter is ours, since Spring has none for it: `sdml_kafka-attempts`, the
number of attempts in place as text.

Others can write to these topics, so every number that is read is bounded: an attempt or a time that
cannot be is taken for none.
"""

from collections.abc import Callable, Iterator, Sequence
from traceback import format_exception

from attrs import frozen

from sdml_kafka.listener.processing.policies import MAX_ATTEMPTS
from sdml_kafka.transport.interfaces.records import Record

Headers = Sequence[tuple[str, bytes]]

ATTEMPTS = "retry_topic-attempts"
ORIGINAL_TIME = "retry_topic-original-timestamp"
DUE = "retry_topic-backoff-timestamp"
OWN_ATTEMPTS = "sdml_kafka-attempts"
"""The number of attempts that were made in place, in digits; on a plain dead letter alone."""
DEAD_LETTER_SET = "kafka_dlt-"
"""How names begin on a plain dead letter."""
RETRY_SET = "kafka_"
"""How names begin on a retry record, and on the dead letter after retry topics."""

SHARE_GROUP_SET = "__dlq.errors."
"""How names begin on the dead letters of Kafka's own share groups (KIP-1191), whose values are
text."""

MAX_MESSAGE = 2_000
"""Characters of an error's text that are written."""
MAX_STACKTRACE = 10_000
"""Characters of a stack trace that are written: its end, since the error stands there."""
SHORT_MESSAGE = 100
"""Bytes of an error's text that are left where there is no room for more."""
MAX_OFFSET = (1 << 63) - 1
MAX_PARTITION = (1 << 31) - 1

_TIMESTAMP_TYPES = ("CreateTime", "LogAppendTime")


@frozen
class Origin:
    """Where a record came from at first."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Milliseconds since the epoch."""
    timestamp_type: int
    """0 if the timestamp is the sender's, 1 if it is the broker's."""


def own_origin(record: Record) -> Origin:
    """Return the place where a record was read."""
    return Origin(
        record.topic, record.partition, record.offset, record.timestamp, record.timestamp_type
    )


def origin_of(record: Record) -> Origin:
    """Return where the record of a retry topic came from at first; its own place if it is none.

    The first values count, as Spring keeps them on the way through its retry topics.
    """
    return _read_origin(record.headers, RETRY_SET, last=False) or own_origin(record)


def dead_letter_origin(headers: Headers) -> Origin | None:
    """Return where a dead letter came from, None if its headers do not say so.

    Of a plain dead letter the last values count, since Spring appends to them.
    """
    return (
        _read_origin(headers, DEAD_LETTER_SET, last=True)
        or _read_origin(headers, RETRY_SET, last=False)
        or _share_group_origin(headers)
    )


def _share_group_origin(headers: Headers) -> Origin | None:
    topic = _last(headers, f"{SHARE_GROUP_SET}topic")
    partition = text_number(_last(headers, f"{SHARE_GROUP_SET}partition"), MAX_PARTITION)
    offset = text_number(_last(headers, f"{SHARE_GROUP_SET}offset"), MAX_OFFSET)
    if topic is None or partition is None or offset is None:
        return None
    return Origin(topic.decode(errors="replace"), partition, offset, 0, 0)


def text_number(value: bytes | None, most: int) -> int | None:
    """Return the number that a text of digits is, None if it is none, or larger than `most`."""
    if value is None or len(value) > 19 or not value.isdigit():
        return None
    number = int(value)
    return number if number <= most else None


def _read_origin(headers: Headers, prefix: str, *, last: bool) -> Origin | None:
    find: Callable[[Headers, str], bytes | None] = _last if last else _first
    topic = find(headers, f"{prefix}original-topic")
    partition = _number(find(headers, f"{prefix}original-partition"), 4, MAX_PARTITION)
    offset = _number(find(headers, f"{prefix}original-offset"), 8, MAX_OFFSET)
    if topic is None or partition is None or offset is None:
        return None
    timestamp_ms = _number(find(headers, f"{prefix}original-timestamp"), 8, MAX_OFFSET)
    kind = find(headers, f"{prefix}original-timestamp-type")
    is_log_append = kind == _TIMESTAMP_TYPES[1].encode()
    name = topic.decode(errors="replace")
    return Origin(name, partition, offset, timestamp_ms or 0, int(is_log_append))


def attempt_of(headers: Headers) -> int:
    """Return the number of the attempt that is due for a record, 1 if the headers say none."""
    value = _last(headers, ATTEMPTS)
    if value is None or len(value) not in (1, 4):
        return 1
    attempt = int.from_bytes(value, "big", signed=True)
    return attempt if 1 <= attempt <= MAX_ATTEMPTS else 1


def due_ms(headers: Headers, latest_ms: int) -> int | None:
    """Return when a record of a retry topic is due, in milliseconds since the epoch.

    None if the headers do not say so, or a time after `latest_ms`.
    """
    value = _last(headers, DUE)
    if value is None or not 1 <= len(value) <= 8:
        return None
    due = int.from_bytes(value, "big", signed=True)
    return due if 0 <= due <= latest_ms else None


def error_prefixes(prefix: str) -> tuple[str, str]:
    """Return how the names of an exception's headers begin, and of one of a key."""
    return f"{prefix}exception-", f"{prefix}key-exception-"


def attempts_in_place(headers: Headers) -> int | None:
    """Return the number of attempts of a plain dead letter, None if its headers do not say it."""
    return text_number(_last(headers, OWN_ATTEMPTS), MAX_ATTEMPTS) or None


def dead_letter_headers(
    record: Record, error: BaseException, group: str, attempts: int | None = None
) -> Headers:
    """Return the headers of the dead letter of a record that was not in a retry topic.

    Args:
        record: The record that failed.
        error: The error that it failed with.
        group: The consumer group.
        attempts: The number of times that a handler was called for it, None if none was.
    """
    kept = _without_error(record.headers, DEAD_LETTER_SET)
    return [
        *(pair for pair in kept if pair[0] != OWN_ATTEMPTS),
        *_origin_headers(own_origin(record), group, DEAD_LETTER_SET),
        *_error_headers(error, DEAD_LETTER_SET),
        *([] if attempts is None else [(OWN_ATTEMPTS, str(attempts).encode())]),
    ]


def retry_headers(
    record: Record, error: BaseException, group: str, attempt: int, due_ms: int
) -> Headers:
    """Return the headers of a retry record, or of the dead letter after retry topics.

    Args:
        record: The record that failed, of the first topic or of a retry topic.
        error: The error that it failed with.
        group: The consumer group.
        attempt: The number of the attempt that follows.
        due_ms: When that attempt is due, in milliseconds since the epoch.
    """
    origin, kept = origin_of(record), list(_without_error(record.headers, RETRY_SET))
    if _read_origin(kept, RETRY_SET, last=False) is None:
        # The first values count, so there must be none before that cannot be read.
        kept = [pair for pair in kept if not pair[0].startswith(f"{RETRY_SET}original-")]
        kept += _origin_headers(origin, group, RETRY_SET)
    if _first(kept, ORIGINAL_TIME) is None:
        kept.append((ORIGINAL_TIME, _shortest(origin.timestamp_ms)))
    return [
        *kept,
        *_error_headers(error, RETRY_SET),
        (ATTEMPTS, min(attempt, MAX_ATTEMPTS).to_bytes(4, "big")),
        (DUE, _shortest(due_ms)),
    ]


def shortened(headers: Headers) -> Headers:
    """Return the headers without a stack trace, and with less of the error's text."""
    texts = {f"{prefix}exception-message" for prefix in (DEAD_LETTER_SET, RETRY_SET)}
    traces = {f"{prefix}exception-stacktrace" for prefix in (DEAD_LETTER_SET, RETRY_SET)}
    return [
        (name, _cut(value, SHORT_MESSAGE) if name in texts else value)
        for name, value in headers
        if name not in traces
    ]


def without_failure(headers: Headers) -> Headers:
    """Return the headers that a record had before it failed, for sending it anew."""
    return [
        (name, value)
        for name, value in headers
        if not name.startswith(
            (
                "kafka_dlt-",
                "kafka_original-",
                "kafka_exception-",
                "kafka_key-exception-",
                "springDeserializerException",
                SHARE_GROUP_SET,
            )
        )
        and name not in (ATTEMPTS, ORIGINAL_TIME, DUE, OWN_ATTEMPTS)
    ]


def _origin_headers(origin: Origin, group: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    yield f"{prefix}original-topic", origin.topic.encode()
    yield f"{prefix}original-partition", origin.partition.to_bytes(4, "big", signed=True)
    yield f"{prefix}original-offset", origin.offset.to_bytes(8, "big", signed=True)
    yield f"{prefix}original-timestamp", origin.timestamp_ms.to_bytes(8, "big", signed=True)
    kind = _TIMESTAMP_TYPES[origin.timestamp_type == 1]
    yield f"{prefix}original-timestamp-type", kind.encode()
    # Spring has this one name in both sets.
    yield f"{DEAD_LETTER_SET}original-consumer-group", group.encode()


def _error_headers(error: BaseException, prefix: str) -> Iterator[tuple[str, bytes]]:
    yield f"{prefix}exception-fqcn", _name(error)
    if error.__cause__ is not None:
        yield f"{prefix}exception-cause-fqcn", _name(error.__cause__)
    yield f"{prefix}exception-message", _text(error, MAX_MESSAGE)
    yield f"{prefix}exception-stacktrace", _encode(_trace(error)[-MAX_STACKTRACE:])


def _without_error(headers: Headers, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Return the headers without those of an earlier error, which Spring drops as well."""
    of_error = error_prefixes(prefix)
    return (pair for pair in headers if not pair[0].startswith(of_error))


def _name(error: BaseException) -> bytes:
    kind = type(error)
    return _encode(f"{kind.__module__}.{kind.__qualname__}")


def _text(error: BaseException, most: int) -> bytes:
    try:
        return _encode(str(error)[:most])
    except Exception:  # the class is the user's
        return b"(its text cannot be made)"


def _trace(error: BaseException) -> str:
    try:
        return "".join(format_exception(error, limit=-20))
    except Exception:  # the class is the user's
        return "(its stack trace cannot be made)"


def _encode(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


def _cut(text: bytes | None, most: int) -> bytes:
    """Return the beginning of a text, without half a character at its end.

    A record of others may have the header without a value.
    """
    if text is None:
        return b""
    return text if len(text) <= most else text[:most].decode(errors="ignore").encode()


def _first(headers: Headers, name: str) -> bytes | None:
    return next((value for each, value in headers if each == name), None)


def _last(headers: Headers, name: str) -> bytes | None:
    return next((value for each, value in reversed(headers) if each == name), None)


def _number(value: bytes | None, size: int, most: int) -> int | None:
    if value is None or len(value) != size:
        return None
    number = int.from_bytes(value, "big", signed=True)
    return number if 0 <= number <= most else None


def _shortest(number: int) -> bytes:
    """Return the bytes of a number as Java's `BigInteger` writes them."""
    bits = (~number if number < 0 else number).bit_length()
    return number.to_bytes(bits // 8 + 1, "big", signed=True)
