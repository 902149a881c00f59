"""Who plays in the demo: joins, leaves, and may come back."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import anyio
import anyio.abc

from sdml_kafka import SdmlKafkaError
from sdml_kafka.cli.demo.scene import MemberView
from sdml_kafka.cli.terminal import first_of
from sdml_kafka.runtime import ActorSnapshot, RuntimeFailure


class Part(ABC):
    _there: ClassVar[str]
    """What it does when it is there."""

    def __init__(self, name: str, on_failure: Callable[[Exception], None]) -> None:
        self.name = name
        self._on_failure = on_failure
        self._state = "away"
        self._settled = anyio.Event()
        self._leaving = anyio.Event()
        self._left = anyio.Event()

    async def join(self, tasks: anyio.abc.TaskGroup) -> None:
        """Returns when it is there, or has failed."""
        self._settled, self._leaving, self._left = anyio.Event(), anyio.Event(), anyio.Event()
        tasks.start_soon(self._stay)
        await self._settled.wait()

    async def leave(self) -> None:
        """Returns when it has left and nothing of it runs any more."""
        if self._state != "away":
            self._state = "leaving"
            self._leaving.set()
            await self._left.wait()

    def view(self) -> MemberView:
        return MemberView(self.name, self._state, self._tree(), self._partition_count())

    async def _stay(self) -> None:
        self._state = "joining"
        try:
            async with self._present():
                self._state = self._there
                self._settled.set()
                await self._leaving.wait()
        except* (SdmlKafkaError, RuntimeFailure) as failures:
            self._on_failure(first_of(failures))
        finally:
            self._state = "away"
            self._settled.set()
            self._left.set()

    @abstractmethod
    def _present(self) -> AbstractAsyncContextManager[None]:
        """Being there, from joining to having left."""

    @abstractmethod
    def _tree(self) -> ActorSnapshot | None:
        """None while it is away."""

    @abstractmethod
    def _partition_count(self) -> int: ...
