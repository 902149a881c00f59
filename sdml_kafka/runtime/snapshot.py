"""What can be seen of a tree of actors: frozen values."""

from collections.abc import Iterator
from enum import StrEnum

from attrs import frozen


class ActorState(StrEnum):
    """Where an actor is in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    """Ended since it was asked to."""
    FINISHED = "finished"
    """Ended of itself, without an error, for good."""
    CRASHED = "crashed"
    RESTARTING = "restarting"
    """Waits out its backoff."""


@frozen
class ActorSnapshot:
    """One actor, and those that it supervises, at one moment."""

    name: str
    state: ActorState
    restarts: int
    """How often it was restarted, for its own failures or its siblings'."""
    last_error: str | None
    """Class and text of its last failure, if it ever failed."""
    inbox_depth: int
    inbox_capacity: int
    """0 for an actor that has no mailbox."""
    age_s: float
    """Since its present life began; 0 while it has none."""
    children: tuple["ActorSnapshot", ...] = ()


def all_actors(snapshot: ActorSnapshot) -> Iterator[ActorSnapshot]:
    """Yield a tree's root and every actor below it."""
    yield snapshot
    for child in snapshot.children:
        yield from all_actors(child)


def still_starting(snapshot: ActorSnapshot) -> str:
    """The name of the actor that a tree's start waits for: the innermost one still starting."""
    for child in snapshot.children:
        if child.state is ActorState.STARTING:
            return still_starting(child)
    return snapshot.name
