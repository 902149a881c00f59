"""The events that a supervisor reports to its observer, and those that it remembers itself."""

from collections import deque
from collections.abc import Callable

from attrs import frozen

from sdml_kafka.runtime.errors import describe


@frozen
class Event:
    """Something happened to the actor at `path`, the names from the root down to it."""

    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The actor's own name."""
        return self.path[-1]


@frozen
class ActorStarted(Event):
    """The actor said that it is ready."""

    restarts: int
    """The number of lives before this one."""


@frozen
class ActorCrashed(Event):
    """The actor failed; the events that follow say what comes of it."""

    error: BaseException


@frozen
class ActorRestarting(Event):
    """The actor is started again soon, for its own failure or a sibling's."""

    delay_s: float
    """Seconds until then."""


@frozen
class ActorStopped(Event):
    """The actor has ended because its supervisor asked it to."""

    cancelled: bool
    """True if asking did not suffice, and the actor was cancelled."""


@frozen
class ActorFinished(Event):
    """The actor has ended by itself, without an error, and is not restarted."""


@frozen
class SupervisorGaveUp(Event):
    """The supervisor at `path` restarts no more and fails with `error`."""

    error: BaseException


MAX_EVENTS = 50
"""The number of events that a tree remembers."""


@frozen
class RecentEvent:
    """A crash, a restart or the end of an actor, of which only the text is left."""

    ago_s: float
    """Seconds since it happened."""
    what: str
    """The kind of event: "crashed", "restarting", "restarted", "gave up"."""
    actor: str
    """The names from the root down to the actor, joined by slashes."""
    error: str | None = None
    """Class and text of the error, None if the event has none."""
    delay_s: float | None = None
    """Seconds until the actor is started again, None unless it is being restarted."""


class RecentEvents:
    """The last events of a tree that are worth a look; nothing is kept for ordinary starts."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._events: deque[tuple[float, RecentEvent]] = deque(maxlen=MAX_EVENTS)

    def note(self, event: Event) -> None:
        """Remember an event if it is a crash, a restart or an end."""
        actor, at = "/".join(event.path), self._now()
        match event:
            case ActorCrashed() | SupervisorGaveUp():
                what = "crashed" if isinstance(event, ActorCrashed) else "gave up"
                self._events.append((at, RecentEvent(0.0, what, actor, describe(event.error))))
            case ActorRestarting():
                self._events.append(
                    (at, RecentEvent(0.0, "restarting", actor, delay_s=event.delay_s))
                )
            case ActorStarted() if event.restarts:
                self._events.append((at, RecentEvent(0.0, "restarted", actor)))
            case _:
                pass

    def seen(self) -> tuple[RecentEvent, ...]:
        """Return what is remembered, the latest last."""
        events = tuple(self._events)  # other threads may ask
        if not events:
            return ()
        now = self._now()
        return tuple(
            RecentEvent(now - at, event.what, event.actor, event.error, event.delay_s)
            for at, event in events
        )
