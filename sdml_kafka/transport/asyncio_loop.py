"""The home of a client: the asyncio loop that it runs on.

aiokafka needs an asyncio loop. Under asyncio and uvloop that is the loop that already runs. Under
trio it is one that trio drives (`driven_loop.py`), or for a member of a group, whose heartbeats go
on while the program computes, one in a thread (`thread_loop.py`); unless the program has opened a
loop of trio-asyncio itself (`trio_asyncio_loop.py`). Nothing but this file knows which one.

We do not open a loop of trio-asyncio: once imported, that puts plain asyncio on a slow loop for the
whole process, and hangs on a KeyboardInterrupt in a task.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from logging import getLogger
from typing import Any, Protocol

import anyio

from sdml_kafka.log_fields import fields
from sdml_kafka.runtime.waiter import on_trio
from sdml_kafka.transport.driven_loop import DrivenLoop, can_be_driven
from sdml_kafka.transport.thread_loop import ThreadLoop
from sdml_kafka.transport.trio_asyncio_loop import EnclosingLoop, enclosing_loop

_log = getLogger("sdml_kafka.transport")

HOME_END_TIMEOUT_S = 5.0


class Home(Protocol):
    """Carries calls between the program's side and the asyncio side of a client."""

    shares_the_thread: bool
    """True if both sides run in one thread, so that either holds up the other while it computes."""
    is_running_loop: bool
    """True if both sides run on one loop, so that a plain call reaches the other side."""

    def call[T](self, function: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        """Run a coroutine function on the asyncio side and return its result.

        A cancelled caller cancels the call there.
        """
        ...

    def call_soon(self, function: Callable[[], object]) -> None:
        """Run a plain function on the asyncio side, from either side."""

    def call_back(self, function: Callable[[], object]) -> None:
        """Run a plain function on the program's side, from the asyncio side.

        The function must not raise.
        """


@asynccontextmanager
async def open_home(*, has_heartbeats: bool = False) -> AsyncGenerator[Home]:
    """Yield the home for the event loop that runs here.

    A loop or a thread of its own ends with this context.

    Args:
        has_heartbeats: Whether the client has to go on while the program computes, if it can.
    """
    if not on_trio():
        yield _RunningLoop()
        return
    home: EnclosingLoop | DrivenLoop | ThreadLoop
    if (loop := enclosing_loop()) is not None:
        home = EnclosingLoop(loop)
    elif can_be_driven() and not has_heartbeats:
        home = DrivenLoop()
    else:
        home = ThreadLoop()
    await home.start()
    try:
        yield home
    finally:
        with anyio.move_on_after(HOME_END_TIMEOUT_S, shield=True) as scope:
            await home.stop()
        if scope.cancelled_caught:
            text, limit_s = (
                "the Kafka client's asyncio side did not end within %s s",
                HOME_END_TIMEOUT_S,
            )
            _log.error(text, limit_s, extra=fields(seconds=limit_s))


class _RunningLoop:
    """The home on asyncio: both sides are one."""

    shares_the_thread = True
    is_running_loop = True

    def call[T](self, function: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        return function()

    def call_soon(self, function: Callable[[], object]) -> None:
        function()  # the caller is on that loop already

    def call_back(self, function: Callable[[], object]) -> None:
        function()
