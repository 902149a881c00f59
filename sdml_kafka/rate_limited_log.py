"""Log lines about what strangers can cause a thousand times a second."""

from collections.abc import Callable
from logging import Logger
from time import monotonic
from typing import Any

EVERY_S = 10.0
MAX_KINDS = 1000


class Seldom:
    """Each kind of line at most once in 10 s, with how many were left out since the last one."""

    def __init__(self, log: Logger, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._clock = clock
        self._next_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def log(self, level: int, kind: str, text: str, *args: Any, error: Any = None) -> None:
        now = self._clock()
        if now < self._next_at.get(kind, now):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        if len(self._next_at) >= MAX_KINDS:
            self._next_at.clear()
            self._left_out.clear()
        self._next_at[kind] = now + EVERY_S
        if left_out := self._left_out.pop(kind, 0):
            text += f" ({left_out} more like this since the last one)"
        self._log.log(level, text, *args, exc_info=error)
