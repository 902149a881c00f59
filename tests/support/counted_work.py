"""Counts work: calls of functions of this package, and turns of asyncio's loop."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import sdml_kafka

PACKAGE = str(Path(sdml_kafka.__file__).parent)
NOT_COUNTED = (
    str(Path(PACKAGE) / "testing"),
    # The twin checks each record that is sent to it; the driver does if the topic is not known.
    str(Path(PACKAGE) / "transport" / "record_checks.py"),
)


class Work:
    """Counts calls of Python functions of this package, the twin's aside, and turns of tasks."""

    def __init__(self) -> None:
        self.calls = 0
        self.callbacks = 0
        """The number of callbacks that asyncio's loop has run: steps of tasks, and plain ones."""

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(PACKAGE) and not code.co_filename.startswith(NOT_COUNTED):
            self.calls += 1
        elif code is asyncio.Handle._run.__code__:
            self.callbacks += 1


@contextmanager
def counted() -> Iterator[Work]:
    work = Work()
    before = sys.getprofile()
    sys.setprofile(work)
    try:
        yield work
    finally:
        sys.setprofile(before)
