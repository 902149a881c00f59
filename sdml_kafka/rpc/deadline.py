"""The deadline that a handler's own calls inherit."""

from contextvars import ContextVar

DEADLINE: ContextVar[float | None] = ContextVar("sdml_kafka_deadline", default=None)
"""On the clock of the event loop, in seconds; None: no deadline."""
