"""For tests of any program: a real Apache Kafka out of pip, an in-memory twin, and fixtures.

The names are imported on first use, since every pytest run imports this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdml_kafka.testing.embedded.errors import (
        EmbeddedKafkaError,
        JavaNotFoundError,
        KafkaDownloadError,
        KafkaStartError,
        UnknownKafkaVersionError,
    )
    from sdml_kafka.testing.embedded.kafka import EmbeddedKafka
    from sdml_kafka.testing.memory.broker import MemoryBroker
    from sdml_kafka.testing.memory.log import MemoryRecord
    from sdml_kafka.transport.interfaces.transports import Transport

__all__ = [
    "EmbeddedKafka",
    "EmbeddedKafkaError",
    "JavaNotFoundError",
    "KafkaDownloadError",
    "KafkaStartError",
    "MemoryBroker",
    "MemoryRecord",
    "Transport",
    "UnknownKafkaVersionError",
]

_MODULES = {
    "EmbeddedKafka": "testing.embedded.kafka",
    "EmbeddedKafkaError": "testing.embedded.errors",
    "JavaNotFoundError": "testing.embedded.errors",
    "KafkaDownloadError": "testing.embedded.errors",
    "KafkaStartError": "testing.embedded.errors",
    "MemoryBroker": "testing.memory.broker",
    "MemoryRecord": "testing.memory.log",
    "Transport": "transport.interfaces.transports",
    "UnknownKafkaVersionError": "testing.embedded.errors",
}
"""The module of each public name, below `sdml_kafka`."""


def __getattr__(name: str) -> object:
    """Import a public name from its module, and keep it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"sdml_kafka.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names as well as the names that are imported already."""
    return sorted({*globals(), *__all__})
