"""The headers that a handler adds to its replies."""

from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from typing import override

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.rpc.dialects.foreign import KAFKA_NAMES
from sdml_kafka.rpc.dialects.native import ID_NAMES, RESERVED

GivenHeaders = Mapping[str, str | bytes] | Sequence[tuple[str, str | bytes]]

_RESERVED = RESERVED.union(ID_NAMES, KAFKA_NAMES)


def checked(
    name: object, value: object, reserved: Collection[str], id_name: str | None
) -> tuple[str, bytes]:
    """Return a header of a handler's own as it is sent. A text becomes UTF-8.

    Args:
        name: Its name.
        value: Its value.
        reserved: The names, in lower case, that are refused beside those of the protocol.
        id_name: The header, in lower case, that carries the id, which is refused, too.

    Raises:
        ConfigurationError: It cannot be a header, or its name belongs to the protocol of calls.
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"a header's name is a text, not {name!r:.80}")
    lowered = name.lower()
    if lowered in _RESERVED or lowered in reserved or lowered == id_name:
        raise ConfigurationError(f"header {name!r:.80} belongs to the protocol of calls")
    try:
        name.encode()
        return name, value.encode() if isinstance(value, str) else _bytes(value)
    except (TypeError, UnicodeEncodeError) as error:
        raise ConfigurationError(f"header {name!r:.80} cannot be sent: {error}") from None


class ReplyHeaders(MutableMapping[str, bytes]):
    """The headers of a handler's own by their names, in the order in which they were added.

    ```python
    call.reply_headers["__TypeId__"] = "com.example.Price"
    ```

    A text becomes UTF-8. Names are compared with regard to case, and each is there once.
    """

    def __init__(self, reserved: Collection[str], id_name: str | None) -> None:
        """Begin without headers.

        Args:
            reserved: The names, in lower case, that are refused beside those of the protocol.
            id_name: The header of the request that carries its id, which is refused, too.
        """
        self._reserved = reserved
        self._id_name = None if id_name is None else id_name.lower()
        self._headers: dict[str, bytes] = {}

    def add_all(self, headers: GivenHeaders) -> None:
        """Add headers, of which the last one of a name counts."""
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            self[name] = value

    @override
    def __getitem__(self, name: str) -> bytes:
        return self._headers[name]

    @override
    def __setitem__(self, name: str, value: str | bytes) -> None:
        """Add a header.

        Raises:
            ConfigurationError: It cannot be a header, or its name belongs to the protocol of calls.
        """
        _, self._headers[name] = checked(name, value, self._reserved, self._id_name)

    @override
    def __delitem__(self, name: str) -> None:
        del self._headers[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    @override
    def __len__(self) -> int:
        return len(self._headers)

    @override
    def __repr__(self) -> str:
        return f"ReplyHeaders({self._headers!r})"


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)  # pyright: ignore[reportUnknownArgumentType]
    raise TypeError(f"its value is bytes or a text, not {type(value).__name__}")
