"""Parsers that read a record's value alone, so that no record has to be made for them."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

Decode = Callable[[bytes], Any]

# An attribute of the parser would also be one of a function that wraps it by `functools.wraps`.
_decoders: WeakKeyDictionary[Callable[..., Any], Decode] = WeakKeyDictionary()


def reads_value[P: Callable[..., Any]](parser: P, decode: Decode) -> P:
    """Note what a parser does with the value of a record that has one, and return the parser.

    Where `decode` raises, the parser itself is called, whose errors are the ones to show.
    """
    _decoders[parser] = decode
    return parser


def decoder_of(parser: Callable[..., Any]) -> Decode | None:
    """Return what a parser does with the value, None if it may look at more than that."""
    try:
        return _decoders.get(parser)
    except TypeError:  # it cannot be hashed, or not be referred to weakly
        return None
