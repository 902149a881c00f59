"""For tests of any program: a real Apache Kafka out of pip, an in-memory twin, and fixtures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdml_kafka.testing.embedded.errors import (
        EmbeddedKafkaError,
        JavaNotFoundError,
        KafkaDownloadError,
        KafkaStartError,
    )
    from sdml_kafka.testing.embedded.kafka import EmbeddedKafka
    from sdml_kafka.testing.memory.broker import MemoryBroker, MemoryRecord, Transport

_HOMES = {
    "EmbeddedKafka": "embedded.kafka",
    "EmbeddedKafkaError": "embedded.errors",
    "JavaNotFoundError": "embedded.errors",
    "KafkaDownloadError": "embedded.errors",
    "KafkaStartError": "embedded.errors",
    "MemoryBroker": "memory.broker",
    "MemoryRecord": "memory.broker",
    "Transport": "memory.broker",
}

__all__ = [
    "EmbeddedKafka",
    "EmbeddedKafkaError",
    "JavaNotFoundError",
    "KafkaDownloadError",
    "KafkaStartError",
    "MemoryBroker",
    "MemoryRecord",
    "Transport",
]


def __getattr__(name: str) -> object:
    """Import on first use: every pytest run in this environment imports this module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
