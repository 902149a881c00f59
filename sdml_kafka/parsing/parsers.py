"""A program's specs of its records: which topics hold them, which type they become, and how."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypedDict

from sdml_kafka.parsing.codec_notes import BYTES, JSON, TEXT, is_of, reads_value
from sdml_kafka.parsing.json_library import decode_json
from sdml_kafka.transport.interfaces.records import Record

__all__ = ["SKIP", "Parser", "ParserSpec", "Skip", "parse_bytes", "parse_json", "parse_text"]


class Skip(Exception):
    """Leaves a record out: it counts as finished.

    It is the type of `SKIP`, for the return type of a parser: `-> Order | Skip`. As `on_failure` of
    a processor, `Skip()` finishes, counts and logs a record whose handler has failed for good.
    """

    def __str__(self) -> str:
        """Return why, or that it is so."""
        return super().__str__() or "the record is left out"


SKIP: Final = Skip("the record is not for this parser")
"""A parser returns or raises this for a record that is not for it: a record of another type.

The record counts as finished, for this parser. It is no parse error, and nothing is logged.
"""

type Parser[T] = Callable[[Record], T | Skip | Awaitable[T | Skip]]
"""A function that takes the record as it came (aiokafka's `ConsumerRecord` is a `Record`); may be
async. For a record that is not for it, it returns or raises `SKIP`."""


class ParserSpec[T](TypedDict):
    """The records of `topics` become `type` by `parser`. Several specs may share a topic."""

    topics: Sequence[str]
    """The topics to read."""
    type: Any
    """Any hashable type hint: a class, `dict[str, int]`, `A | B`. A parsed value's class is checked
    (`dict` for `dict[str, int]`), not what is inside."""
    parser: Parser[T]
    """Takes a record, and returns a value of the type, or `SKIP`."""


def forget_raise(skip: Skip) -> None:
    """Drop what Python notes of a raise: of one object raised again and again that would grow."""
    skip.__traceback__ = skip.__context__ = skip.__cause__ = None


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
    """Parse a record whose value is JSON, by the fastest decoder installed (`json_library`).

    Args:
        record: The record as it came.

    Returns:
        What the JSON stands for.

    Raises:
        ValueError: The value is not JSON, or the record is a tombstone (it has no value).
    """
    if record.value is None:
        raise ValueError("a tombstone (a record without a value) is no JSON")
    return decode_json(record.value)


reads_value(parse_bytes, bytes)  # which returns the same object
reads_value(parse_text, bytes.decode)
reads_value(parse_json, decode_json)
is_of(BYTES, parse_bytes)
is_of(TEXT, parse_text)
is_of(JSON, parse_json)
