"""The home of a client: the asyncio loop that it runs on.

aiokafka needs an asyncio loop. Under asyncio and uvloop that is the loop that already runs;
under trio it is a loop in a thread of the client's own, unless the program has opened a loop of
trio-asyncio itself (`trio_asyncio_loop.py`). Nothing but this file knows which one.

A thread rather than trio-asyncio: that one, once imported, puts plain asyncio on a slow loop for
the whole process, hangs on a KeyboardInterrupt in a task, and stops heartbeats whenever the trio
side computes. The thread has none of these faults, and costs one crossing for each batch.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from contextvars import Context, copy_context
from logging import getLogger
from typing import Any, Protocol

import anyio

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.runtime.waiter import on_trio
from sdml_kafka.transport.trio_asyncio_loop import EnclosingLoop, enclosing_loop

_log = getLogger("sdml_kafka.transport")

THREAD_END_TIMEOUT_S = 5.0


class Home(Protocol):
    """Carries calls between the program's side and the asyncio side of a client."""

    shares_the_thread: bool
    """Whether both sides run in one thread, so that either holds up the other while it computes."""
    is_running_loop: bool
    """Whether both sides run on one loop, so that a plain call reaches the other side."""

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
async def open_home() -> AsyncGenerator[Home]:
    """Yield the home for the event loop that runs here.

    A thread of its own ends with this context.
    """
    if not on_trio():
        yield _RunningLoop()
        return
    if (loop := enclosing_loop()) is not None:
        yield EnclosingLoop(loop)
        return
    home = _ThreadedLoop()
    await home.start()
    try:
        yield home
    finally:
        with anyio.move_on_after(THREAD_END_TIMEOUT_S, shield=True) as scope:
            await home.stop()
        if scope.cancelled_caught:
            _log.error("the Kafka client's thread did not end within %s s", THREAD_END_TIMEOUT_S)


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


class _ThreadedLoop:
    """The home on trio: a thread with an asyncio loop of its own."""

    shares_the_thread = False
    is_running_loop = False

    def __init__(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
        self._started, self._ended = anyio.Event(), anyio.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._context: Context
        # A daemon, so that a client that hangs cannot keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="sdml-kafka", daemon=True)

    async def start(self) -> None:
        self._thread.start()
        with anyio.CancelScope(shield=True):  # bounded: a loop is up in milliseconds
            await self._started.wait()

    async def stop(self) -> None:
        self.call_soon(self._stop.set)
        await self._ended.wait()
        self._thread.join(timeout=0.1)

    async def call[T](self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        finished = anyio.Event()
        outcome: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            task = self._loop.create_task(function())
            task.add_done_callback(finish)
            tasks.append(task)

        def finish(task: asyncio.Task[T]) -> None:
            if task.cancelled():
                outcome.cancel()
            elif (error := task.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())
            self.call_back(finished.set)

        if self._loop.is_closed():
            raise ConsumerFailed("the client's thread has ended")
        self.call_soon(start)
        try:
            await finished.wait()
        finally:
            if not finished.is_set():
                self.call_soon(lambda: tasks[0].cancel())
        return outcome.result()

    def call_soon(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has closed, and what it ran has ended
            # The function gets a context of that side. In the caller's it would look as if trio
            # ran there, and anyio and sniffio would believe it (in a token provider that uses
            # httpx, say).
            self._loop.call_soon_threadsafe(function, context=self._context)

    def call_back(self, function: Callable[[], object]) -> None:
        import trio

        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(self._live())
        finally:
            self.call_back(self._ended.set)

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        self._context = copy_context()
        self.call_back(self._started.set)
        await self._stop.wait()
