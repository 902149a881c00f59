"""What a program says of its records: which topics hold them, which type they become, and how."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict

from sdml_kafka.transport.interfaces import Record

__all__ = ["Parser", "ParserSpec", "parse_bytes", "parse_json", "parse_text"]

type Parser[T] = Callable[[Any], T | Awaitable[T]]
"""A function that takes the record as it came (aiokafka's `ConsumerRecord`); may be async."""


class ParserSpec[T](TypedDict):
    """The records of `topics` become `type` by `parser`. Several specs may share a topic."""

    topics: Sequence[str]
    """The topics to read."""
    type: Any
    """Any hashable type hint: a class, `dict[str, int]`, `A | B`. A parsed value's class is checked
    (`dict` for `dict[str, int]`), not what is inside."""
    parser: Parser[T]
    """Takes a record, and returns a value of the type."""


def parse_bytes(record: Record) -> bytes:
    """Parse a record to its value as it is.

    Args:
        record: The record as it came.

    Returns:
        The value; empty bytes for a tombstone (a record without a value).
    """
    return record.value or b""


def parse_text(record: Record) -> str:
    """Parse a record whose value is UTF-8.

    Args:
        record: The record as it came.

    Returns:
        The text; an empty one for a tombstone (a record without a value).

    Raises:
        UnicodeDecodeError: The value is not UTF-8.
    """
    return (record.value or b"").decode()


def parse_json(record: Record) -> Any:
    """Parse a record whose value is JSON.

    Args:
        record: The record as it came.

    Returns:
        What the JSON stands for.

    Raises:
        ValueError: The value is not JSON, or the record is a tombstone (it has no value).
    """
    if record.value is None:
        raise ValueError("a tombstone (a record without a value) is no JSON")
    return json.loads(record.value)
