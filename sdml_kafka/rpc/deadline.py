"""The deadline that the calls of a handler inherit."""

from contextvars import ContextVar

DEADLINE: ContextVar[float | None] = ContextVar("sdml_kafka_deadline", default=None)
"""Seconds on the clock of the event loop; None while no handler's deadline holds."""
