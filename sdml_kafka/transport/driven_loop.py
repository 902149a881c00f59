"""The home of a client in a trio program that may wait for it: an asyncio loop that trio drives.

How this works. The loop never waits itself. Whenever something has come for it (a socket that it
watches is readable, a timer is due, the program has called), it runs in the program's thread until
it would wait, which its selector tells by an exception. Then trio waits in its place: the file
descriptor of the selector becomes readable as soon as one of those that it watches does. So nothing
crosses between threads, which costs 35 us for each wake-up, and more while both want to compute.

The client shares the program's thread: while the program computes, no heartbeat is sent. So members
of a group live in a thread (`thread_loop.py`), and this is for producers, and for the consumers of
replies, which are in no group.

Rules for whoever edits this file:

- The loop runs in `_run` alone, and `_run` in the two tasks below alone, so the loop is never
  entered from within itself.
- What the asyncio side hands to the program runs when the loop has paused, since on the loop it
  would take asyncio for its event loop. The loop pauses soon after something was handed over.
"""

import asyncio
import selectors
import sys
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from logging import getLogger
from math import inf

import anyio

from sdml_kafka.log_fields import fields
from sdml_kafka.runtime.waiter import Waiter, wake
from sdml_kafka.transport.crossing_loop import CrossingLoop

TURN_S = 0.01
"""Seconds after which a loop that is always busy lets the program have its turn."""

_log = getLogger("sdml_kafka.transport")


def can_be_driven() -> bool:
    """Return whether a loop can be driven here.

    It cannot where a selector has no file descriptor (Windows), and in a trio that is a guest of an
    asyncio loop.
    """
    return hasattr(selectors.DefaultSelector, "fileno") and asyncio._get_running_loop() is None


class WouldWaitError(Exception):
    """The loop has nothing to do for now."""

    def __init__(self, timeout_s: float | None) -> None:
        """Say for how long, None for as long as nothing comes."""
        super().__init__(timeout_s)
        self.timeout_s = timeout_s


class PausedError(Exception):
    """The loop could go on, and lets the program go on first."""


class ImpatientSelector(selectors.DefaultSelector):
    """Raises where another selector would wait."""

    def __init__(self, has_to_pause: Callable[[], bool]) -> None:
        """Begin without sockets.

        Args:
            has_to_pause: Called at the beginning of each turn of the loop.
        """
        super().__init__()
        self._has_to_pause = has_to_pause
        self.is_readable: bool = False
        """True if something has come that was not looked at. To look is a call of the system."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._has_to_pause():
            raise PausedError
        if self.is_readable:
            self.is_readable = False
            return super().select(0)
        if timeout is None or timeout > 0:
            raise WouldWaitError(timeout)
        return []


class DrivenLoop(CrossingLoop):
    """Runs the client on a loop in the program's thread, whenever there is something to do."""

    shares_the_thread = True

    def __init__(self) -> None:
        super().__init__()
        import sniffio  # which comes with trio alone
        import trio

        self._trio = trio
        self._library = sniffio.thread_local
        self._selector = ImpatientSelector(self._has_to_pause)
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._context = Context()
        self._callbacks: deque[Callable[[], object]] = deque()
        """The calls that the asyncio side has handed to the program."""
        self._woken: Waiter = self._new_waiter()
        self._turn_ends = inf
        self._timer = trio.CancelScope()
        """Ends when the loop's next timer is due."""
        self._socket_watch, self._call_watch = trio.CancelScope(), trio.CancelScope()
        self._ended = anyio.Event()

    async def start(self) -> None:
        """Drive the loop from now on."""
        self._trio.lowlevel.spawn_system_task(self._watch_sockets)
        self._trio.lowlevel.spawn_system_task(self._watch_calls)

    async def stop(self) -> None:
        """End what runs on the loop, and the loop."""
        try:
            await self.call(self._end_tasks)
        finally:
            self._call_watch.cancel()
        await self._ended.wait()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    def call_soon(self, function: Callable[[], object]) -> None:
        if not self._loop.is_closed():  # what it ran has ended
            self._loop.call_soon(function, context=self._context)
            if not self._loop.is_running():
                wake(self._woken)

    def call_back(self, function: Callable[[], object]) -> None:
        if self._loop.is_closed():
            super().call_back(function)
            return
        self._callbacks.append(function)
        if not self._loop.is_running():
            wake(self._woken)

    # -- the tasks that drive the loop ---------------------------------------------------

    async def _watch_sockets(self) -> None:
        try:
            with self._socket_watch:
                while True:
                    await self._trio.lowlevel.wait_readable(self._selector.fileno())
                    self._selector.is_readable = True
                    self._run()
        finally:
            self._loop.close()
            self._hand_back()
            self._ended.set()

    async def _watch_calls(self) -> None:
        try:
            with self._call_watch:
                while True:
                    with self._timer:
                        await self._serve_calls()
                    self._timer = self._trio.CancelScope()
                    self._run()
        finally:
            self._socket_watch.cancel()

    async def _serve_calls(self) -> None:
        while True:
            if self._woken.done():
                await self._trio.lowlevel.checkpoint()
            else:
                await self._woken
            self._woken = self._new_waiter()
            self._run()

    def _run(self) -> None:
        """Let the loop go on until it would wait, or the program has something to do."""
        library, self._library.name = self._library.name, "asyncio"
        self._turn_ends = time.monotonic() + TURN_S
        try:
            self._loop.run_forever()
        except WouldWaitError as end:
            if end.timeout_s is not None:
                due = self._trio.current_time() + end.timeout_s
                if due < self._timer.deadline:
                    self._timer.deadline = due
        except PausedError:
            wake(self._woken)
        except BaseException as error:  # a SystemExit, say, out of a task or a callback
            text = "something on the Kafka client's asyncio side wanted to end the program"
            _log.exception(text, extra=fields(error=error))
            wake(self._woken)
        else:  # something has stopped the loop, which others use
            wake(self._woken)
        finally:
            self._library.name = library
            _show_to_trio_asyncio(None)
        self._hand_back()

    def _hand_back(self) -> None:
        for _ in range(len(self._callbacks)):
            self._callbacks.popleft()()

    def _has_to_pause(self) -> bool:
        _show_to_trio_asyncio(self._loop)  # not in `_run`: to start, asyncio wants no loop to run
        return bool(self._callbacks) or time.monotonic() > self._turn_ends


def _show_to_trio_asyncio(loop: asyncio.AbstractEventLoop | None) -> None:
    """Have this loop be the one that runs, in a process that has imported `trio_asyncio`.

    What `asyncio.get_running_loop` returns in a trio task is decided by that package from then on.
    """
    if (trio_asyncio := sys.modules.get("trio_asyncio")) is not None:
        current_loop = getattr(trio_asyncio, "current_loop", None)
        if current_loop is not None:  # else the import is under way
            current_loop.set(loop)
