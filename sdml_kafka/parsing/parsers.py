"""What a program says of its records: which topics hold them, which type they become, and how."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict

from sdml_kafka.transport.interfaces import Record

__all__ = ["Parser", "ParserSpec", "parse_bytes", "parse_json", "parse_text"]

type Parser[T] = Callable[[Any], T | Awaitable[T]]
"""Takes the record as it came (aiokafka's `ConsumerRecord`); may be async."""


class ParserSpec[T](TypedDict):
    """The records of `topics` become `type` by `parser`. Several specs may share a topic."""

    topics: Sequence[str]
    type: Any
    """Any hashable type hint: a class, `dict[str, int]`, `A | B`. What is checked of a parsed
    value is its class (`dict` for `dict[str, int]`), not what is inside."""
    parser: Parser[T]


def parse_bytes(record: Record) -> bytes:
    """The value as it is; an empty one for a tombstone (a record without a value)."""
    return record.value or b""


def parse_text(record: Record) -> str:
    """The value as UTF-8. Raises UnicodeDecodeError; an empty text for a tombstone."""
    return (record.value or b"").decode()


def parse_json(record: Record) -> Any:
    """The value as JSON. Raises ValueError for what is none, a tombstone included."""
    if record.value is None:
        raise ValueError("a tombstone (a record without a value) is no JSON")
    return json.loads(record.value)
