"""What became of a task that was not awaited."""

import asyncio
from typing import Any


def error_of(task: "asyncio.Future[Any]") -> BaseException | None:
    """The error of one that is done; a cancellation is one too, never raised as such."""
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception()
