"""Keeps a client open from `start()` to `stop()`, for asyncio programs without `async with`."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio

from sdml_kafka.errors import ClientClosed


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
        self._settled = asyncio.Event()
        """Started, or ended without."""
        self._ended = False
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._live(), name=name)

    async def _live(self) -> None:
        try:
            async with self._client:
                self._settled.set()
                await self._stop.wait()
        except Exception as error:
            self.failure = error
        finally:
            self._ended = True
            self._settled.set()
            self._on_end(self.failure)

    async def start(self) -> None:
        try:
            await self.wait_started()
        except asyncio.CancelledError:
            self._task.cancel()
            with anyio.CancelScope(shield=True):  # bounded: the client bounds its own leaving
                await asyncio.wait({self._task})
            raise

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    async def wait_started(self) -> None:
        await self._settled.wait()
        if self.failure is not None:
            raise self.failure
        if self._ended:
            raise ClientClosed("Its start was cancelled: make a new one")

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.wait({self._task})
        if self.failure is not None:
            raise self.failure
