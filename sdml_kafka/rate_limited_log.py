"""A log for what strangers can cause a thousand times a second."""

from collections.abc import Callable
from logging import Logger
from time import monotonic
from typing import Any

LOG_INTERVAL_S = 10.0
"""Seconds between two lines of the same kind."""
MAX_KINDS = 1000


class RateLimitedLog:
    """Writes each kind of line at most once in 10 s, with the number of lines left out since."""

    def __init__(self, log: Logger, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._clock = clock
        self._next_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def log(self, level: int, kind: str, text: str, *args: Any, error: Any = None) -> None:
        """Write a line with the traceback of `error`, or count it as left out.

        Args:
            level: The level of the line.
            kind: The name of what happens; lines of one kind share the limit.
            text: The line, with a placeholder for each of `args`.
            args: What the placeholders stand for.
            error: An exception, or None for a line without a traceback.
        """
        now = self._clock()
        if now < self._next_at.get(kind, now):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        if len(self._next_at) >= MAX_KINDS:
            self._next_at.clear()
            self._left_out.clear()
        self._next_at[kind] = now + LOG_INTERVAL_S
        if left_out := self._left_out.pop(kind, 0):
            text += f" ({left_out} more like this since the last one)"
        self._log.log(level, text, *args, exc_info=error)
