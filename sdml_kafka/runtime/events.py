"""What a supervisor tells its observer: frozen values, one class for each thing that happens."""

from attrs import frozen


@frozen
class Event:
    """Something happened to the actor at `path`: the names from the root down to it."""

    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The actor's own name."""
        return self.path[-1]


@frozen
class ActorStarted(Event):
    """It said that it is ready; `restarts` counts its lives before this one."""

    restarts: int


@frozen
class ActorCrashed(Event):
    """It failed; what comes of it, the events that follow tell."""

    error: BaseException


@frozen
class ActorRestarting(Event):
    """It will be started again in `delay_s` seconds, for its own failure or a sibling's."""

    delay_s: float


@frozen
class ActorStopped(Event):
    """It ended since its supervisor asked it to; `cancelled` if that took more than asking."""

    cancelled: bool


@frozen
class ActorFinished(Event):
    """It ended of itself, without an error, and is not restarted."""


@frozen
class SupervisorGaveUp(Event):
    """The supervisor at `path` restarts no more and fails with `error`."""

    error: BaseException
