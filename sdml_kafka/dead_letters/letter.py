"""Reads a dead letter, and writes it down. Pure.

What the headers say was written by others: it is bounded, and escaped before it is shown.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from sdml_kafka.listener.processing.policies import MAX_ATTEMPTS
from sdml_kafka.listener.processing.spring_headers import (
    DEAD_LETTER_SET,
    RETRY_SET,
    SHARE_GROUP_SET,
    Origin,
    attempt_of,
    attempts_in_place,
    dead_letter_origin,
    error_prefixes,
    text_number,
)
from sdml_kafka.printable import one_line, printable
from sdml_kafka.transport.interfaces.records import Record

MAX_NAME = 300
"""Characters of a name that are read."""
MAX_MESSAGE = 300
"""Characters of an error's text in the list."""
MAX_SHOWN = 100_000
"""Bytes of a value, a key, a header or a stack trace that are shown."""


@frozen
class Letter:
    """A dead letter, and what its headers say."""

    record: Record
    origin: Origin | None
    """Where the record came from; None if the headers do not say so."""
    exception: str | None
    """The name of the exception, as `module.Class`."""
    cause: str | None
    """The name of the exception's cause."""
    message: str | None
    """The exception's text."""
    stack_trace: bytes | None
    group: str | None
    """The consumer group whose member gave the record up."""
    attempt: int | None
    """The number of attempts, None if the headers do not say so."""


def read_letter(record: Record) -> Letter:
    """Return the dead letter that a record is."""
    found = dict(record.headers)  # the last one counts
    is_plain = any(name.startswith(error_prefixes(DEAD_LETTER_SET)) for name in found)
    prefix, of_key = error_prefixes(DEAD_LETTER_SET if is_plain else RETRY_SET)
    cause = _text(found, f"{prefix}cause-fqcn", MAX_NAME)  # which has one name for keys as well
    if f"{prefix}fqcn" not in found and f"{of_key}fqcn" in found:
        prefix = of_key
    group = _text(found, f"{DEAD_LETTER_SET}original-consumer-group", MAX_NAME)
    # The attempt that would follow is counted in the header of retry topics.
    later = max(attempt_of(record.headers) - 1, 0) or None
    attempt = attempts_in_place(record.headers) if is_plain else later
    message = _text(found, f"{prefix}message", MAX_SHOWN)
    if f"{SHARE_GROUP_SET}topic" in found and f"{prefix}fqcn" not in found:
        group = _text(found, f"{SHARE_GROUP_SET}group", MAX_NAME)
        attempt = text_number(found.get(f"{SHARE_GROUP_SET}delivery.count"), MAX_ATTEMPTS) or None
        message = _text(found, f"{SHARE_GROUP_SET}message", MAX_SHOWN)
    return Letter(
        record,
        dead_letter_origin(record.headers),
        _text(found, f"{prefix}fqcn", MAX_NAME),
        cause,
        message,
        found.get(f"{prefix}stacktrace"),
        group,
        attempt,
    )


def _text(headers: Mapping[str, bytes], name: str, most: int) -> str | None:
    value = headers.get(name)
    # A character has four bytes at most.
    return None if value is None else value[: 4 * most].decode(errors="replace")[:most]


def as_json(letter: Letter, **more: object) -> bytes:
    """Return why, when and where from, as one line of printable ASCII."""
    # DEL is the only control character that json does not escape.
    text = json.dumps({**summary(letter), **more}).replace("\x7f", "\\u007f")
    return text.encode() + b"\n"


def summary(letter: Letter) -> dict[str, Any]:
    """Return why, when and where from, as plain values that are bounded."""
    record, message = letter.record, letter.message
    return {
        "partition": record.partition,
        "offset": record.offset,
        "when": moment(record.timestamp),
        "from": None if letter.origin is None else _origin_fields(letter.origin),
        "group": letter.group,
        "attempts": letter.attempt,
        "exception": letter.exception,
        "cause": letter.cause,
        "message": None if message is None else message[:MAX_MESSAGE],
    }


def _origin_fields(origin: Origin) -> dict[str, Any]:
    return {
        "topic": origin.topic[:MAX_NAME],
        "partition": origin.partition,
        "offset": origin.offset,
    }


def moment(timestamp_ms: int) -> str | None:
    """Return milliseconds since the epoch as a date and a time, None if that is none."""
    try:
        when = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_text(letter: Letter) -> bytes:
    """Return all that a dead letter holds, for reading.

    What comes from the record stands behind a word or is indented, so that it cannot look like the
    rest.
    """
    return "".join(f"{line}\n" for line in _lines(letter)).encode("ascii", "backslashreplace")


def _lines(letter: Letter) -> Iterator[str]:
    record = letter.record
    yield f"partition {record.partition}, offset {record.offset}"
    yield f"{'written':<11}{moment(record.timestamp) or record.timestamp}"
    for name, said in _said(letter):
        if said is not None:
            yield f"{name:<11}{one_line(said)}"
    if letter.stack_trace is not None:
        yield from ("stack trace:", *_indented(letter.stack_trace))
    yield "headers:"
    for name, value in record.headers:
        yield f"  {one_line(name)} = {one_line(_shown(value or b''))}"  # Java may write null
    for what, data in (("key", record.key), ("value", record.value)):
        if data is None:
            yield f"{what}: none"
        else:
            yield from (f"{what}:", *_indented(data))


def _said(letter: Letter) -> Iterator[tuple[str, object]]:
    origin = letter.origin
    if origin is None:
        yield "from", "(its headers do not say so)"
    else:
        place = f"partition {origin.partition}, offset {origin.offset}"
        yield "from", f"{origin.topic[:MAX_NAME]}, {place}"
    yield "group", letter.group
    yield "attempts", letter.attempt
    yield "exception", letter.exception
    yield "cause", letter.cause
    yield "message", letter.message


def _indented(data: bytes) -> Iterator[str]:
    return (f"  {line}" for line in _shown(data).split("\n"))


def _shown(data: bytes) -> str:
    text = printable(data[:MAX_SHOWN])
    if len(data) > MAX_SHOWN:
        text += f" ... ({len(data) - MAX_SHOWN:,} bytes more)"
    return text
