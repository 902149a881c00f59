"""The fields of log lines for structured logging: what a line says, under names of their own."""

from typing import Protocol, TypedDict, Unpack

MAX_TEXT = 400
"""Characters of a text out of an error or a record that are logged."""
MAX_BRIEF = 200
"""Characters of an error that is a part of another text."""
MAX_CHARS = 250
"""Characters of a field that is a text. A topic's name has 249 at most."""


class Known(TypedDict, total=False):
    """The facts that a line may know; None and an empty text count as unknown.

    docs/operations.md has a row for each. A name gets the prefix `kafka_`, with which it is an
    attribute of the `LogRecord`.
    """

    group: str | None
    client_id: str | None
    topic: str | None
    partition: int | None
    offset: int | None
    to_topic: str | None
    handler: str
    call_id: bytes | None
    attempt: int
    records: int
    seconds: float | None
    actor: str
    broker: str | int | None
    error: BaseException | None


NAMES: dict[str, str] = {name: f"kafka_{name}" for name in Known.__annotations__}
LEFT_OUT = "kafka_left_out"
"""The field with the number of lines of a kind that were left out since the last one."""


class Place(Protocol):
    """A record, or whatever else has a place in a log."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


def fields(**known: Unpack[Known]) -> dict[str, object]:
    """Return the `extra=` of a log line: texts are escaped and bounded, errors are classes."""
    shown: dict[str, object] = {}
    for name, value in known.items():
        kind = value.__class__
        if kind is int:
            shown[NAMES[name]] = value
        elif kind is str:
            if value:
                shown[NAMES[name]] = escaped(value, MAX_CHARS)
        elif value is not None:
            shown[NAMES[name]] = _shown(value)
    return shown


def record_fields(record: Place, **known: Unpack[Known]) -> dict[str, object]:
    """Return the fields of a line on one record."""
    known["topic"], known["partition"] = record.topic, record.partition
    known["offset"] = record.offset
    return fields(**known)


def _shown(value: object) -> object:
    if isinstance(value, BaseException):
        return type(value).__name__
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, bytes):
        value = value[:MAX_CHARS].decode("utf-8", "backslashreplace")
    return escaped(value, MAX_CHARS)


def place_of(record: Place) -> str:
    """Return the name of a record for people: its topic, partition and offset."""
    return f"{record.topic!r} partition {record.partition} offset {record.offset}"


def brief(error: BaseException) -> str:
    """Return an error as Python shows it, in one short line that is escaped and bounded."""
    try:
        return escaped(repr(error), MAX_BRIEF)
    except Exception:  # the class may be the user's
        return f"{type(error).__name__}, whose repr raises"


def escaped(value: object, most: int = MAX_TEXT) -> str:
    """Return the text of a value in one line, escaped and bounded: it may hold bytes of others."""
    try:
        text = str(value)
    except Exception:  # the class may be the user's
        return f"{type(value).__name__}, whose text raises"
    if len(text) <= most and text.isprintable():
        return text
    cut = "..." if len(text) > most else ""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:most]) + cut
