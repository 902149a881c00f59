"""What a supervisor reports to its observer: a frozen class for each thing that happens."""

from attrs import frozen


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
    """Whether asking did not suffice, and the actor was cancelled."""


@frozen
class ActorFinished(Event):
    """The actor has ended by itself, without an error, and is not restarted."""


@frozen
class SupervisorGaveUp(Event):
    """The supervisor at `path` restarts no more and fails with `error`."""

    error: BaseException
