"""Turns a line of JSON into what is to be sent."""

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any, cast

from attrs import frozen

FIELDS = ("value", "key", "headers", "partition")
IGNORED = frozenset({"topic", "offset", "timestamp"})
"""The fields that `listen` writes and nothing is made of, so that its lines can be sent."""
MAX_SHOWN = 100
"""Characters of a wrong name that are shown."""

Headers = tuple[tuple[str, bytes], ...]


@frozen
class Outgoing:
    """The parts of one record."""

    value: bytes | None
    key: bytes | None
    headers: Headers
    partition: int | None = None


def read_line(line: bytes, key: bytes | None, headers: Headers) -> Outgoing:
    """Return what the line says.

    Args:
        line: An object in JSON.
        key: The key, unless the line has one of its own.
        headers: The headers before those of the line.

    Raises:
        ValueError: The line is not what it has to be. The text says why.
    """
    fields = _parsed(line)
    if unknown := next((name for name in fields if name not in (*FIELDS, *IGNORED)), None):
        raise ValueError(f"no field is named {unknown[:MAX_SHOWN]!r}; they are {', '.join(FIELDS)}")
    if "value" not in fields:
        raise ValueError("the value is missing; null makes a tombstone")
    own_key = _bytes(fields["key"], "key") if "key" in fields else key
    partition = fields.get("partition")
    if partition is not None and (type(partition) is not int or partition < 0):
        raise ValueError("partition is a whole number of 0 or more, or null")
    value = _bytes(fields["value"], "value")
    return Outgoing(value, own_key, headers + tuple(_headers(fields)), partition)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(parsed, dict):
        raise ValueError('not an object, such as {"value": "hello"}')
    return cast("dict[str, Any]", parsed)


def _headers(fields: dict[str, Any]) -> Iterable[tuple[str, bytes]]:
    given = fields.get("headers")
    if given is None:
        return
    pairs: Any = cast("dict[str, Any]", given).items() if isinstance(given, dict) else given
    try:
        pairs = [(name, value) for name, value in pairs]
    except (TypeError, ValueError):
        raise ValueError("headers are an object, or a list of [name, value]") from None
    for name, value in pairs:
        if not isinstance(name, str) or not _is_utf_8(name):
            raise ValueError("a header's name is a string")
        data = _bytes(value, "a header's value")
        if data is None:
            raise ValueError("a header's value is a string, not null")
        yield name, data


def _is_utf_8(text: str) -> bool:
    # JSON can name half of a surrogate pair, which no text is.
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _bytes(value: object, what: str) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        if not _is_utf_8(value):
            raise ValueError(f"{what} holds half of a character")
        return value.encode()
    if isinstance(value, dict) and set(cast("dict[str, Any]", value)) == {"base64"}:
        try:
            return base64.b64decode(cast("dict[str, Any]", value)["base64"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise ValueError(f"{what} is not base64") from None
    raise ValueError(
        f'{what} is a string, null or {{"base64": "..."}}; JSON goes into a string, quotes escaped'
    )
