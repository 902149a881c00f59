"""The deadline that the calls of a handler inherit, and how seconds are shown in errors."""

from contextvars import ContextVar

DEADLINE: ContextVar[float | None] = ContextVar("sdml_kafka_deadline", default=None)
"""Seconds on the clock of the event loop; None while no handler's deadline holds."""


def in_seconds(seconds: float) -> str:
    """Return such as `0.25 s`, `3.5 s` or `3600 s`."""
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
