"""The home of a client in a program that runs inside `trio_asyncio.open_loop()`: that very loop.

The client shares the program's thread there: a program that computes stops the client's heartbeats,
and each callback of the loop costs a turn of trio's scheduler. Nothing here imports `trio_asyncio`,
since the import alone changes asyncio's event loops in the whole process.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from inspect import getmodule
from logging import getLogger
from traceback import walk_tb
from typing import Any, cast

from sdml_kafka.errors import ConsumerFailed

_log = getLogger("sdml_kafka.transport")

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


class EnclosingLoop:
    """Runs the client on a loop of trio-asyncio, for actors that are trio's."""

    shares_the_thread = True
    is_running_loop = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        import trio

        self._loop: Any = loop
        self._token = trio.lowlevel.current_trio_token()
        if not isinstance(loop.get_exception_handler(), LoggedErrors):
            loop.set_exception_handler(LoggedErrors(loop.get_exception_handler()))

    async def call[T](self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def there() -> T:
            return await function()

        if self._loop.is_closed():
            raise ConsumerFailed("the trio-asyncio loop that the client was on has ended")
        try:
            result: T = await self._loop.run_aio_coroutine(there())
        except asyncio.CancelledError as error:
            # The loop's end cancels its tasks, and aiokafka what waits for a client that closes.
            raise ConsumerFailed("the client's task was cancelled") from error
        return result

    def call_soon(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has closed, so nothing there waits for the call
            self._loop.call_soon(function)

    def call_back(self, function: Callable[[], object]) -> None:
        import trio

        # Called within the asyncio side, the function would take asyncio for its event loop.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)


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
    task = context.get("task") or context.get("future")
    if isinstance(task, asyncio.Task) and (module := getmodule(task.get_coro())) is not None:
        names.append(module.__name__)
    return any(name.split(".")[0] in _OURS for name in names)
