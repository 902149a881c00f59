"""Functions that make parsers and serializers, which are easily given where they should be called.

Each can be called with one argument, so given uncalled it would first fail with a record.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sdml_kafka.errors import ConfigurationError

# An attribute of a function would also be one of a function that wraps it by `functools.wraps`.
_calls: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


def called_as[F: Callable[..., Any]](call: str, factory: F) -> F:
    """Note that a function makes parsers or serializers, called like this, and return it."""
    _calls[factory] = call
    return factory


def check_is_called(where: str, given: object) -> None:
    """Raise ConfigurationError if a parser or serializer is a function that makes such.

    Args:
        where: What it was given as, for the error's text.
        given: The parser or serializer.
    """
    function: Any = getattr(given, "__func__", given)  # of a method
    try:
        call = _calls.get(function)
    except TypeError:  # it cannot be hashed, or not be referred to weakly
        return
    if call is not None:
        name = getattr(function, "__name__", "this")
        raise ConfigurationError(f"{where} is {name} itself, which makes one: call it: {call}")
