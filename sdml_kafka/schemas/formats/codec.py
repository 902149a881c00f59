"""A format's codec for a schema: a function that reads data, and one that writes it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from attrs import frozen

from sdml_kafka.errors import ConfigurationError

Read = Callable[[bytes, int, "tuple[int, ...] | None"], object]
"""A function that reads a value from some bytes on. The last argument is the path of a Protobuf
message, if that does not stand in front of the data."""


@frozen
class Reading:
    """A program's wishes for the data that it reads."""

    type: Any
    build: Callable[[object], object]
    """Makes the program's type of plain data."""
    name: str | None = None
    """The name of the schemas that are read; records of others are for another parser."""
    schema: str | None = None
    """The schema that Avro's data is read as, by Avro's rules of resolution."""
    validate: bool = True
    """True if JSON is checked against its schema."""


@frozen
class Written[T]:
    """A function that writes a value, and what stands between the schema's id and the data."""

    write: Callable[[T], bytes]
    path: bytes = b""

    def __call__(self, value: T, /) -> bytes:
        """Return the bytes of a value."""
        return self.write(value)


def library(name: str) -> Any:
    """Import a library of the extra `registry`."""
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise ConfigurationError(
            f"This schema takes {package}, which is not installed: "
            "pip install 'sdml-kafka-client[registry]'"
        ) from None
