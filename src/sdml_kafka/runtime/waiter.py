"""The cheapest way for one task to wait for one wake-up, on asyncio and on trio.

For what happens tens of thousands of times a second; everything else takes `anyio.Event`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol


class Waiter(Protocol):
    """For one task, once."""

    def wake(self) -> None:
        """Let the task go on; before it waits, after it was cancelled or again: harmless."""

    def wait(self) -> Awaitable[None]: ...


def on_trio() -> bool:
    """Whether the event loop that runs here is trio's; imports nothing."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


def waiter_maker() -> Callable[[], Waiter]:
    """Makes waiters for the event loop that runs here."""
    if on_trio():
        return _TrioWaiter
    return partial(_AsyncioWaiter, asyncio.get_running_loop())


def clock() -> Callable[[], float]:
    """`anyio.current_time` of the event loop that runs here, without looking it up each time; it
    may be asked in other threads, too."""
    if on_trio():
        import trio

        now: Callable[[], float] = trio.lowlevel.current_clock().current_time
        return now
    return asyncio.get_running_loop().time


class _AsyncioWaiter:
    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future = loop.create_future()

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> "asyncio.Future[None]":
        return self._future


class _TrioWaiter:
    __slots__ = ("_task", "_woken")

    def __init__(self) -> None:
        self._task: Any = None
        self._woken = False

    def wake(self) -> None:
        self._woken = True
        if self._task is not None:
            import trio

            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def wait(self) -> None:
        import trio

        if self._woken:
            await trio.lowlevel.checkpoint_if_cancelled()
            return

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)
