"""Keeps a client open from `start()` to `stop()`, for asyncio programs without `async with`."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any


class TaskRunner:
    """The task that enters and leaves the client: both have to happen in the same one."""

    def __init__(
        self,
        client: AbstractAsyncContextManager[Any],
        name: str,
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self.failure: Exception | None = None
        self._on_end = on_end
        self._client = client
        self._started = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._live(), name=name)

    async def _live(self) -> None:
        try:
            async with self._client:
                if not self._started.done():
                    self._started.set_result(None)
                await self._stop.wait()
        except Exception as error:
            self.failure = error
            if not self._started.done():
                self._started.set_exception(error)
        finally:
            self._on_end(self.failure)

    async def start(self) -> None:
        try:
            await asyncio.shield(self._started)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    async def wait_started(self) -> None:
        await asyncio.shield(self._started)

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.wait({self._task})
        if self.failure is not None:
            raise self.failure
