"""A home whose asyncio loop is not the event loop of the program, which is trio's: calls cross."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.runtime.waiter import Waiter, waiter_maker, wake


class CrossingLoop(ABC):
    """Runs calls on an asyncio loop and brings their outcomes back to trio, where it is made.

    A class that inherits sets `_loop` and reaches that loop by `call_soon`.
    """

    is_running_loop = False
    _loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
        self._new_waiter: Callable[[], Waiter] = waiter_maker()
        self._calls: set[asyncio.Task[Any]] = set()
        """The tasks of the calls that run; looked at on the asyncio side alone."""

    @abstractmethod
    def call_soon(self, function: Callable[[], object]) -> None: ...

    def call_back(self, function: Callable[[], object]) -> None:
        import trio

        # Called within the asyncio side, the function would take asyncio for its event loop.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)

    async def call[T](self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        finished = self._new_waiter()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            task = self._loop.create_task(function())
            tasks.append(task)
            self._calls.add(task)
            task.add_done_callback(finish)

        def finish(task: asyncio.Task[T]) -> None:
            self._calls.discard(task)
            if not task.cancelled():
                task.exception()  # asyncio logs an error that nobody looks at: a caller may be gone
            self.call_back(partial(wake, finished))

        self._check_open()
        self.call_soon(start)
        try:
            await self._wait(finished)
        finally:
            if not finished.done():
                self.call_soon(lambda: tasks[0].cancel())
        (task,) = tasks
        if task.cancelled():
            raise ConsumerFailed("the client's task was cancelled")
        return task.result()

    def _check_open(self) -> None:
        if self._loop.is_closed():
            raise ConsumerFailed("the asyncio loop that the client was on has ended")

    async def _wait(self, finished: Waiter) -> None:
        await finished

    async def calls_ended(self) -> None:
        """Wait until all calls have ended, also those whose callers were cancelled."""

        async def others_end() -> None:
            if others := self._calls - {asyncio.current_task()}:
                await asyncio.wait(others)

        await self.call(others_end)
