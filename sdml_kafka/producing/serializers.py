"""How the values that a program sends become bytes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.factories import check_is_called


@frozen
class Encoded:
    """A value as bytes, and the headers that say how to read them: what a serializer may return."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    """The names and values of headers, sent behind those that the program gave. They take the place
    of those of the same name, which a program has that forwards the headers of another record."""


Serializer = Callable[[Any], bytes | Encoded]
"""A function that takes a value, and returns its bytes. It may raise `NotYet`."""


class Serializers:
    """The serializers of a program, by the type of the value."""

    def __init__(self, by_type: Mapping[Any, Serializer]) -> None:
        """Check what the program gave.

        Raises:
            ConfigurationError: A type is no class, or a serializer cannot be called.
        """
        if not isinstance(by_type, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"serializers is {{Order: to_json}}, not {by_type!r:.200}")
        for kind, serializer in by_type.items():
            if not isinstance(kind, type) or not callable(serializer):
                raise ConfigurationError(
                    f"serializers has a class and a function for each type, not {kind!r:.200}: "
                    f"{serializer!r:.200}"
                )
            check_is_called(f"The serializer of {kind.__name__}", serializer)
        self._by_type = dict(by_type)

    def serialize(self, value: object) -> bytes | Encoded:
        """Return the bytes of a value, by the serializer of its class or the nearest base.

        Raises:
            ConfigurationError: There is no serializer for its class, or it returns no bytes.
            Exception: What the serializer raises.
        """
        for kind in type(value).__mro__:
            serializer = self._by_type.get(kind)
            if serializer is not None:
                data: Any = serializer(value)
                if isinstance(data, bytes | Encoded):
                    return data
                raise ConfigurationError(
                    f"The serializer of {kind.__name__} returned {type(data).__name__}, not bytes"
                )
        if isinstance(value, bytes | bytearray):  # bytes of a class of their own, too
            return bytes(value)
        raise ConfigurationError(
            f"A value of {type(value).__name__} has no serializer: give bytes, or "
            f"serializers={{{type(value).__name__}: ...}}"
        )


def headers_with(given: Sequence[tuple[str, bytes]], encoded: Encoded) -> Sequence[Any]:
    """Return the headers of a message: those that the program gave, and those of its value."""
    names = [name for name, _ in encoded.headers]
    return (*(pair for pair in given if _name_of(pair) not in names), *encoded.headers)


def _name_of(pair: Any) -> object:
    try:
        return pair[0]
    except (TypeError, LookupError):
        return None  # what cannot be a header is refused with the record
