"""A supervisor's record of one child, across all of its lives."""

from typing import Any, Protocol

import anyio.abc

from sdml_kafka.runtime.actor import Actor, Life
from sdml_kafka.runtime.decide import Member, Standing, count_attempt
from sdml_kafka.runtime.errors import StartTimeout, UnexpectedExit, describe
from sdml_kafka.runtime.events import (
    ActorFinished,
    ActorRestarting,
    ActorStarted,
    ActorStopped,
    Event,
)
from sdml_kafka.runtime.incarnation import Incarnation
from sdml_kafka.runtime.mailbox import Mailbox
from sdml_kafka.runtime.restarts import Restarts
from sdml_kafka.runtime.snapshot import ActorSnapshot, ActorState, still_starting
from sdml_kafka.runtime.spec import ChildSpec


class Parent(Protocol):
    """The part of a supervisor that its child needs, without importing it."""

    @property
    def path(self) -> tuple[str, ...]:
        """The names from the root down to the supervisor."""
        ...

    @property
    def closing(self) -> bool:
        """True if the supervisor has ceased to restart children."""
        ...

    def now(self) -> float:
        """Return the time in seconds."""
        ...

    def emit(self, event: Event) -> None:
        """Report an event to the observer."""
        ...

    def child_crashed(self, child: "Child", error: BaseException) -> None:
        """Note that the child has failed; its task is about to end."""
        ...


class Child:
    """A child of a supervisor: its present life, its state, and its history."""

    def __init__(self, index: int, spec: ChildSpec, parent: Parent) -> None:
        self.index = index
        self.spec = spec
        self.state: ActorState = ActorState.NEW
        self.last_error: BaseException | None = None
        self.attempt: int = 0
        self._parent = parent
        self._restarts = 0
        self._life: Incarnation | None = None
        self._born_at = 0.0
        self._ready_at: float | None = None
        self._up_s = 0.0

    @property
    def path(self) -> tuple[str, ...]:
        """The names from the root down to the child."""
        return (*self._parent.path, self.spec.name)

    @property
    def crashed(self) -> bool:
        """True if the latest life failed, and no other has begun."""
        return self.state is ActorState.CRASHED

    @property
    def actor(self) -> Actor | None:
        """The actor of the present or latest life, None before the first."""
        return self._life.actor if self._life is not None else None

    @property
    def member(self) -> Member:
        """The child, as far as a restart plan needs to know it."""
        standing: Standing = "down"
        if self._life is not None and not self._life.ended:
            standing = "up"
        elif self.state is ActorState.FINISHED:
            standing = "done"
        return Member(self.spec.restart, standing)

    async def start(self, tasks: anyio.abc.TaskGroup) -> BaseException | None:
        """Begin a life and wait until it is ready; return the error if it fails before.

        A child that ends without an error, being done, counts as ready.
        """
        life = Life(self.path, on_started=self._on_started, on_event=self._parent.emit)
        self._life = Incarnation(self.spec.factory, life, self._on_end)
        self.state = ActorState.STARTING
        self._born_at, self._ready_at = self._parent.now(), None
        tasks.start_soon(self._life.live, name="/".join(self.path))
        if not await self._life.wait_settled(self.spec.start_timeout_s):
            late = StartTimeout(still_starting(self.view()), self.spec.start_timeout_s)
            await self._life.fail(late, self.spec.stop_timeout_s)
            return late
        return self.last_error if self.crashed else None

    async def stop(self) -> None:
        """Stop the actor, cancel it if it takes too long, and return when it has ended."""
        if self._life is None or self._life.ended:
            if self.state is ActorState.RESTARTING:
                self.state = ActorState.STOPPED
            return
        self.state = ActorState.STOPPING
        await self._life.stop(self.spec.stop_timeout_s)

    def will_restart(self, delay_s: float) -> None:
        """Note and report that the actor starts again after `delay_s`."""
        self._restarts += 1
        self.state = ActorState.RESTARTING
        self._parent.emit(ActorRestarting(self.path, delay_s))

    def next_attempt(self, restarts: Restarts) -> int:
        """Count a restart; return its number, from which the backoff follows."""
        self.attempt = count_attempt(self.attempt, self._up_s, restarts)
        return self.attempt

    def view(self) -> ActorSnapshot:
        """Return the snapshot of this child and of the actors below it."""
        actor = self.actor
        alive = self._life is not None and not self._life.ended
        mailbox = _mailbox_of(actor)
        return ActorSnapshot(
            name=self.spec.name,
            state=self.state,
            restarts=self._restarts,
            last_error=describe(self.last_error) if self.last_error is not None else None,
            inbox_depth=mailbox.depth if mailbox is not None else 0,
            inbox_capacity=mailbox.capacity if mailbox is not None else 0,
            age_s=self._parent.now() - self._born_at if alive else 0.0,
            children=actor.members() if actor is not None else (),
        )

    def _on_started(self) -> None:
        self._ready_at = self._parent.now()
        if self.state is ActorState.STARTING:
            self.state = ActorState.RUNNING
        self._parent.emit(ActorStarted(self.path, self._restarts))

    def _on_end(self) -> None:
        life = self._life
        assert life is not None
        self._up_s = self._parent.now() - self._ready_at if self._ready_at is not None else 0.0
        asked = life.life.stopping or life.cancelled or self._parent.closing
        error = life.error
        if error is None and not asked and self.spec.restart == "permanent":
            error = UnexpectedExit(self.spec.name)
        if error is not None:
            self.last_error = error
            self.state = ActorState.CRASHED
            self._parent.child_crashed(self, error)
        elif asked:
            self.state = ActorState.STOPPED
            self._parent.emit(ActorStopped(self.path, life.cancelled))
        else:
            self.state = ActorState.FINISHED
            self._parent.emit(ActorFinished(self.path))


def _mailbox_of(actor: Actor | None) -> Mailbox[Any] | None:
    """Return the mailbox that an actor has. The class does not declare it, for its type differs."""
    mailbox: Mailbox[Any] | None = getattr(actor, "mailbox", None)
    return mailbox if isinstance(mailbox, Mailbox) else None
