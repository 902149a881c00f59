"""The cheapest way for one task to wait for one wake-up, on asyncio and on trio.

It is meant for what happens tens of thousands of times a second; everything else takes
`anyio.Event`.
"""

import sys
from collections.abc import Callable, Generator
from functools import partial
from time import monotonic
from typing import Any, Protocol, cast


class Waiter(Protocol):
    """A wake-up for the one task that awaits it, once."""

    def done(self) -> bool: ...

    def set_result(self, result: None, /) -> None: ...

    def __await__(self) -> Generator[Any, Any, None]: ...


def wake(waiter: Waiter) -> None:
    """Let the waiter's task go on.

    To do so again, before the task waits, or after it was cancelled does no harm.
    """
    if not waiter.done():
        waiter.set_result(None)


def on_trio() -> bool:
    """Return whether the event loop that runs here is trio's, without importing trio."""
    trio = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_task():
        return False
    # A loop of trio-asyncio runs its asyncio tasks within a task of trio's.
    sniffio = sys.modules.get("sniffio")
    return sniffio is None or sniffio.current_async_library() == "trio"


def waiter_maker() -> Callable[[], Waiter]:
    """Return a function that makes waiters for the event loop that runs here."""
    if on_trio():
        from sdml_kafka.runtime.trio_waiter import TrioWaiter

        return TrioWaiter
    import asyncio  # loaded already where its loop runs, and needed by nobody else

    # Not `loop.create_future`, which takes a call more; no class of our own, which tasks of
    # asyncio await at half the speed.
    return cast("Callable[[], Waiter]", partial(asyncio.Future, loop=asyncio.get_running_loop()))


def clock() -> Callable[[], float]:
    """Return `anyio.current_time` of the event loop that runs here.

    The function does not look the loop up at each call, and may be called in other threads.
    """
    if on_trio():
        import trio

        now: Callable[[], float] = trio.lowlevel.current_clock().current_time
        return now
    import asyncio

    loop = asyncio.get_running_loop()
    if getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time:
        return monotonic  # which it calls
    return loop.time


def soon() -> Callable[[Callable[[], object]], object]:
    """Return what has the event loop that runs here call a function soon.

    Any thread may call it, and so may the garbage collector, wherever it comes. It raises a
    RuntimeError once the event loop has ended.
    """
    if on_trio():
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon
    import asyncio

    return asyncio.get_running_loop().call_soon_threadsafe


def running_here() -> Callable[[], bool]:
    """Return what says if the event loop that runs here runs where it is called.

    It returns False in other threads, where another loop runs, between two runs of the loop, and
    once it has ended. The garbage collector may call it, wherever it comes.
    """
    if on_trio():
        import trio

        current: Callable[[], object] = trio.lowlevel.current_trio_token
    else:
        import asyncio

        current = asyncio.get_running_loop
    own = current()

    def is_running_here() -> bool:
        try:
            return current() is own
        except RuntimeError:  # none runs here
            return False

    return is_running_here
