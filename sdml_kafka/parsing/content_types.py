"""The media types of what parsers read and serializers write, as far as they are known."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

BYTES = "application/octet-stream"
JSON = "application/json"
MSGPACK = "application/msgpack"
TEXT = "text/plain"

# An attribute of a function would also be one of a function that wraps it by `functools.wraps`.
_content_types: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


def is_of[C: Callable[..., Any]](content_type: str, codec: C) -> C:
    """Note what a parser reads, or a serializer writes, and return it."""
    _content_types[codec] = content_type
    return codec


def content_type_of(codec: Callable[..., Any]) -> str | None:
    """Return what a parser reads or a serializer writes, None if the program alone knows."""
    try:
        return _content_types.get(codec)
    except TypeError:  # it cannot be hashed, or not be referred to weakly
        return None
