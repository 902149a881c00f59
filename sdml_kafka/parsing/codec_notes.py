"""Notes on parsers and serializers, beside how to call them.

That is the media type of what one reads or writes; and of a parser that looks at a record's value
alone, what it does with that, so that no record has to be made for it.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

BYTES = "application/octet-stream"
JSON = "application/json"
MSGPACK = "application/msgpack"
TEXT = "text/plain"

Decode = Callable[[bytes], Any]


class _Notes[N]:
    """A note on each of some functions, as long as somebody holds the function."""

    def __init__(self) -> None:
        # An attribute of a function would also be one of a function that wraps it by
        # `functools.wraps`.
        self._notes: WeakKeyDictionary[Callable[..., Any], N] = WeakKeyDictionary()

    def add[C: Callable[..., Any]](self, codec: C, note: N) -> C:
        self._notes[codec] = note
        return codec

    def of(self, codec: Callable[..., Any]) -> N | None:
        try:
            return self._notes.get(codec)
        except TypeError:  # it cannot be hashed, or not be referred to weakly
            return None


_content_types = _Notes[str]()
_decoders = _Notes[Decode]()


def is_of[C: Callable[..., Any]](content_type: str, codec: C) -> C:
    """Note what a parser reads, or a serializer writes, and return it."""
    return _content_types.add(codec, content_type)


def content_type_of(codec: Callable[..., Any]) -> str | None:
    """Return what a parser reads or a serializer writes, None if the program alone knows."""
    return _content_types.of(codec)


def reads_value[P: Callable[..., Any]](parser: P, decode: Decode) -> P:
    """Note what a parser does with the value of a record that has one, and return the parser.

    Where `decode` raises, the parser itself is called, whose errors are the ones to show.
    """
    return _decoders.add(parser, decode)


def decoder_of(parser: Callable[..., Any]) -> Decode | None:
    """Return what a parser does with the value, None if it may look at more than that."""
    return _decoders.of(parser)
