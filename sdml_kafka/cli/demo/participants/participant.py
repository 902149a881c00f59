"""The base of all participants: they join, leave, and may come back."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import anyio
import anyio.abc

from sdml_kafka import SdmlKafkaError
from sdml_kafka.cli.demo.display.frame import ParticipantView
from sdml_kafka.cli.terminal import first_of
from sdml_kafka.observability.status_document import Observed
from sdml_kafka.runtime import ActorSnapshot, RuntimeFailure

AWAY = "away"


class Participant(ABC):
    _active_state: ClassVar[str]
    """The state that is shown while the participant takes part."""

    def __init__(self, name: str, on_failure: Callable[[Exception], None]) -> None:
        self.name = name
        self._on_failure = on_failure
        self._state = AWAY
        self._joined = anyio.Event()
        self._leaving = anyio.Event()
        self._left = anyio.Event()

    async def join(self, tasks: anyio.abc.TaskGroup) -> None:
        """Take part in a task of `tasks`; return when the participant has joined or failed."""
        self._joined, self._leaving, self._left = anyio.Event(), anyio.Event(), anyio.Event()
        tasks.start_soon(self._stay)
        await self._joined.wait()

    async def leave(self) -> None:
        """Return when the participant has left and none of its tasks runs any more."""
        if self._state != AWAY:
            self._state = "leaving"
            self._leaving.set()
            await self._left.wait()

    def view(self) -> ParticipantView:
        """Return what a display shows of the participant."""
        return ParticipantView(self.name, self._state, self._tree(), self._partition_count())

    async def _stay(self) -> None:
        self._state = "joining"
        try:
            async with self._taking_part():
                self._state = self._active_state
                self._joined.set()
                await self._leaving.wait()
        except* (SdmlKafkaError, RuntimeFailure) as failures:
            self._on_failure(first_of(failures))
        finally:
            self._state = AWAY
            self._joined.set()
            self._left.set()

    @abstractmethod
    def observed(self) -> Observed | None:
        """Return what the live page shows, None while the participant is away."""

    @abstractmethod
    def _taking_part(self) -> AbstractAsyncContextManager[None]:
        """Join on entering, leave on exit."""

    @abstractmethod
    def _tree(self) -> ActorSnapshot | None:
        """Return the supervision tree, None while the participant is away."""

    @abstractmethod
    def _partition_count(self) -> int:
        """Return the number of partitions that the participant reads."""
