"""Actors, and the view that each has of its own life."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import anyio

from sdml_kafka.runtime.events import Event
from sdml_kafka.runtime.snapshot import ActorSnapshot


def _ignore(*_: object) -> None:
    pass


class Life:
    """An actor's view of its own life: the actor says that it is ready, and learns when to stop.

    Supervisors make one for each life. To drive an actor by hand, in a test say, make one, run
    the actor with it in a task, `await life.wait_settled()` and later `life.request_stop()`.
    """

    def __init__(
        self,
        path: tuple[str, ...] = ("actor",),
        *,
        on_started: Callable[[], object] = _ignore,
        on_event: Callable[[Event], object] = _ignore,
        wait_dispensable: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Make a life that has not begun.

        Args:
            path: The names from the root down to the actor.
            on_started: Called when the actor says that it is ready.
            on_event: Called for what happens below the actor, if it is a supervisor.
            wait_dispensable: Returns when nobody needs the actor any more; see the method of the
                same name.
        """
        self.path = path
        self.report = on_event
        self._on_started = on_started
        self._wait_dispensable = wait_dispensable
        self._ready = False
        self._ending = False
        self._settled = anyio.Event()
        self._stop = anyio.Event()
        self._scopes_to_cancel: set[anyio.CancelScope] = set()

    # For the actor

    def started(self) -> None:
        """Say that the actor is ready, so that whoever waits for that goes on.

        Saying so again does nothing.
        """
        if not self._ready:
            self._ready = True
            self._settled.set()
            self._on_started()

    @property
    def stopping(self) -> bool:
        """True if the actor was asked to stop."""
        return self._stop.is_set()

    async def wait_stopping(self) -> None:
        """Return when the actor is asked to stop."""
        await self._stop.wait()

    @contextmanager
    def cancel_on_stop(self) -> Generator[anyio.CancelScope]:
        """Cancel the body of a `with` when the actor is asked to stop."""
        with anyio.CancelScope() as scope:
            if self.stopping:
                scope.cancel("asked to stop")
            self._scopes_to_cancel.add(scope)
            try:
                yield scope
            finally:
                self._scopes_to_cancel.discard(scope)

    def ending(self) -> None:
        """Say that the actor is about to end by itself.

        If it is asked to stop from now on, it is given its time and not cancelled at once.
        """
        self._ending = True

    # For the owner of the life

    @property
    def ready(self) -> bool:
        """True if the actor said that it is ready."""
        return self._ready

    async def wait_settled(self) -> None:
        """Return when the actor is ready, or has ended without being ready."""
        await self._settled.wait()

    def settle(self) -> None:
        """Note that the actor has ended: nobody needs to wait for it to be ready."""
        self._settled.set()

    def request_stop(self) -> bool:
        """Ask the actor to stop; return whether it listens, or is about to end anyway."""
        waiting = self._stop.statistics().tasks_waiting
        listens = self._ending or bool(self._scopes_to_cancel) or waiting > 0
        self._stop.set()
        for scope in self._scopes_to_cancel:
            scope.cancel("asked to stop")
        return listens

    async def wait_dispensable(self) -> None:
        """Return when nobody needs the children of a supervisor that has failed any more.

        At the root that is when the body, which is cancelled for it, has been left.
        """
        if self._ready and self._wait_dispensable is not None:
            await self._wait_dispensable()


class Actor(ABC):
    """Something that runs on its own and is supervised.

    An attribute `mailbox` that is a `Mailbox` is shown in snapshots. Whoever made the mailbox owns
    it, and it outlives the actor.
    """

    @abstractmethod
    async def run(self, life: Life) -> None:
        """Run until done (return), failed (raise) or asked to stop (return soon).

        Call `life.started()` once what the actor offers can be used. An actor that does not stop
        in time is cancelled.
        """

    def members(self) -> tuple[ActorSnapshot, ...]:
        """Return snapshots of the actors that this one supervises, if it does."""
        return ()
