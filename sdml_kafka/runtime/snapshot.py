"""A tree of actors as it can be seen, in frozen values."""

from collections.abc import Iterator
from enum import StrEnum

from attrs import frozen


class ActorState(StrEnum):
    """The state of an actor in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    """The actor has ended because it was asked to."""
    FINISHED = "finished"
    """The actor has ended by itself, without an error, and is not restarted."""
    CRASHED = "crashed"
    RESTARTING = "restarting"
    """The actor is started again when its backoff is over."""


@frozen
class ActorSnapshot:
    """An actor, and the actors that it supervises, at one moment."""

    name: str
    state: ActorState
    restarts: int
    """The number of restarts of the actor, for its own failures or its siblings'."""
    last_error: str | None
    """Class and text of the actor's last failure, None if it has never failed."""
    inbox_depth: int
    """The number of messages that wait in the actor's mailbox."""
    inbox_capacity: int
    """The number of messages that may wait there; 0 for an actor that has no mailbox."""
    age_s: float
    """Seconds since the actor's present life began; 0 while it has none."""
    children: tuple["ActorSnapshot", ...] = ()


def all_actors(snapshot: ActorSnapshot) -> Iterator[ActorSnapshot]:
    """Yield a tree's root and every actor below it."""
    yield snapshot
    for child in snapshot.children:
        yield from all_actors(child)


def still_starting(snapshot: ActorSnapshot) -> str:
    """Return the name of the innermost actor that a tree's start waits for."""
    for child in snapshot.children:
        if child.state is ActorState.STARTING:
            return still_starting(child)
    return snapshot.name
