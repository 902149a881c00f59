"""A home whose asyncio loop is not the event loop of the program, which is trio's: calls cross."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import anyio

from sdml_kafka.errors import ConsumerFailed


class CrossingLoop(ABC):
    """Runs calls on an asyncio loop and brings their outcomes back to trio, where it is made.

    A class that inherits sets `_loop` and reaches that loop by `call_soon`.
    """

    is_running_loop = False
    _loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
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
        finished = anyio.Event()
        outcome: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            task = self._loop.create_task(function())
            task.add_done_callback(finish)
            tasks.append(task)
            self._calls.add(task)

        def finish(task: asyncio.Task[T]) -> None:
            self._calls.discard(task)
            if task.cancelled():
                outcome.set_exception(ConsumerFailed("the client's task was cancelled"))
            elif (error := task.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())
            self.call_back(finished.set)

        self._check_open()
        self.call_soon(start)
        try:
            await self._wait(finished)
        finally:
            if not finished.is_set():
                self.call_soon(lambda: tasks[0].cancel())
        return outcome.result()

    def _check_open(self) -> None:
        if self._loop.is_closed():
            raise ConsumerFailed("the asyncio loop that the client was on has ended")

    async def _wait(self, finished: anyio.Event) -> None:
        await finished.wait()

    async def calls_ended(self) -> None:
        """Wait until all calls have ended, also those whose callers were cancelled."""

        async def others_end() -> None:
            if others := self._calls - {asyncio.current_task()}:
                await asyncio.wait(others)

        await self.call(others_end)
