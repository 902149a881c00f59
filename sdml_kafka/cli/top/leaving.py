"""Leaving on Ctrl-C and SIGTERM, with no moment in which that leaves a terminal half changed."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self


class Left(BaseException):
    """Somebody wants the command to end; like KeyboardInterrupt, no handler of errors takes it."""


class Leaving:
    """Turns the first signal into `Left` where the command waits; later ones change nothing.

    Whatever draws on the terminal is never cut off: it would keep what it has begun to itself.
    """

    def __init__(self) -> None:
        self.number: int = 0
        """The number of the first signal, 0 before there is one."""
        self._is_waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for each in (signal.SIGINT, signal.SIGTERM):
            self._before[each] = signal.signal(each, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Let a signal raise `Left` inside the context, one that has come before as well."""
        self._is_waiting = True
        try:
            self._look()
            yield
            self._look()  # what a destructor raises is lost
        finally:
            self._is_waiting = False

    def _look(self) -> None:
        if self.number:
            raise Left

    def _note(self, number: int, _: FrameType | None) -> None:
        if not self.number:
            self.number = number
            if self._is_waiting:
                raise Left
