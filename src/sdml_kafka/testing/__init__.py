"""For tests of any program: a real Apache Kafka out of pip, an in-memory twin, and fixtures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._embedded import EmbeddedKafka
    from ._errors import (
        EmbeddedKafkaError,
        JavaNotFoundError,
        KafkaDownloadError,
        KafkaStartError,
    )
    from .memory import MemoryBroker, MemoryRecord, Transport

_HOMES = {
    "EmbeddedKafka": "_embedded",
    "EmbeddedKafkaError": "_errors",
    "JavaNotFoundError": "_errors",
    "KafkaDownloadError": "_errors",
    "KafkaStartError": "_errors",
    "MemoryBroker": "memory",
    "MemoryRecord": "memory",
    "Transport": "memory",
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
