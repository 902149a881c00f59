"""The home of a client in a program that runs inside `trio_asyncio.open_loop()`: that very loop.

The client shares the program's thread there: a program that computes stops the client's heartbeats,
and each callback of the loop costs a turn of trio's scheduler. Nothing here imports `trio_asyncio`,
since the import alone changes asyncio's event loops in the whole process.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from inspect import getmodule
from traceback import walk_tb
from typing import Any, cast

import anyio

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.runtime.waiter import Waiter
from sdml_kafka.transport.crossing_loop import CrossingLoop

LOOK_EVERY_S = 1.0
"""Seconds between two looks whether the loop of a call that waits is still open."""

_OURS = ("aiokafka", "sdml_kafka")

ErrorHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


def enclosing_loop() -> asyncio.AbstractEventLoop | None:
    """Return the open loop of trio-asyncio that the running trio task is in; None without one."""
    trio_asyncio = sys.modules.get("trio_asyncio")
    if trio_asyncio is None:
        return None
    try:
        loop = asyncio.get_running_loop()  # which trio-asyncio replaces, with a look at the task
    except RuntimeError:
        return None
    # The loop that runs is another one where trio itself is a guest of asyncio.
    return loop if isinstance(loop, trio_asyncio.TrioEventLoop) and loop.is_running() else None


class EnclosingLoop(CrossingLoop):
    """Runs the client on a loop of trio-asyncio, for actors that are trio's."""

    shares_the_thread = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        if not isinstance(loop.get_exception_handler(), LoggedErrors):
            loop.set_exception_handler(LoggedErrors(loop.get_exception_handler()))

    async def start(self) -> None:
        """Do nothing: the loop runs already."""

    async def stop(self) -> None:
        """Leave the loop to its owner, without a call of the client's."""
        with suppress(ConsumerFailed):  # the loop has ended, and its calls with it
            await self.calls_ended()

    def call_soon(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has closed, and what it ran has ended
            self._loop.call_soon(function)

    async def _wait(self, finished: Waiter) -> None:
        # A loop that ends in between drops the task, and nobody would notice.
        while not finished.done():
            self._check_open()
            with anyio.move_on_after(LOOK_EVERY_S):
                await finished


class LoggedErrors:
    """Logs what the client's tasks and futures die of, as asyncio's own loops do.

    A loop of trio-asyncio ends the whole program over an error that nobody retrieved. That stays
    for errors that are not the client's: `otherwise` gets them, or the loop's default.
    """

    def __init__(self, otherwise: ErrorHandler | None) -> None:
        self._otherwise = otherwise

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if _is_ours(context):
            logging = cast("asyncio.BaseEventLoop", loop)
            asyncio.BaseEventLoop.default_exception_handler(logging, context)
        elif self._otherwise is not None:
            self._otherwise(loop, context)
        else:
            loop.default_exception_handler(context)


def _is_ours(context: dict[str, Any]) -> bool:
    names = [type(value).__module__ for value in context.values()]
    error: BaseException | None = context.get("exception")
    if error is not None:
        names += [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    task: Any = context.get("task") or context.get("future")
    if isinstance(task, asyncio.Task) and (module := getmodule(cast("Any", task.get_coro()))):
        names.append(module.__name__)
    return any(name.split(".")[0] in _OURS for name in names)
