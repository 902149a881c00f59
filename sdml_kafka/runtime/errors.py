"""Every exception of the runtime. All can be pickled, since `args` are the constructor's."""

from typing import TypeGuard


def describe(error: BaseException) -> str:
    """Return the error's class and text in one line."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_interrupt(error: BaseException | None) -> TypeGuard[BaseException]:
    """Return whether the error is a KeyboardInterrupt or the like, for which nobody waits."""
    return error is not None and not isinstance(error, Exception)


class RuntimeFailure(Exception):
    """Base of the errors that the runtime raises itself."""


class SupervisorReused(RuntimeFailure):
    """A supervisor was run a second time; each serves once."""

    def __init__(self, supervisor: str) -> None:
        super().__init__(supervisor)
        self.supervisor = supervisor

    def __str__(self) -> str:
        return f"supervisor {self.supervisor!r} was run before; make a new one for each run"


class RestartsExhausted(RuntimeFailure):
    """An actor failed more often than its supervisor may restart; `__cause__` is the last error."""

    def __init__(self, child: str, count: int, window_s: float) -> None:
        super().__init__(child, count, window_s)
        self.child = child
        self.count = count
        self.window_s = window_s

    def __str__(self) -> str:
        last = f" with {describe(self.__cause__)}" if self.__cause__ is not None else ""
        return (
            f"actor {self.child!r} failed again{last}, after {self.count} restarts within "
            f"{self.window_s:g} s; mend the cause, or allow more restarts with "
            "Restarts(max_restarts=..., window_s=...)"
        )


class StartTimeout(RuntimeFailure):
    """An actor was not ready within its start timeout."""

    def __init__(self, child: str, timeout_s: float) -> None:
        super().__init__(child, timeout_s)
        self.child = child
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return (
            f"actor {self.child!r} was not ready within {self.timeout_s:g} s; see what it waits "
            "for (it calls life.started() when it is ready), or raise start_timeout_s"
        )


class UnexpectedExit(RuntimeFailure):
    """A permanent actor returned although it was not asked to stop."""

    def __init__(self, child: str) -> None:
        super().__init__(child)
        self.child = child

    def __str__(self) -> str:
        return (
            f"actor {self.child!r} returned although it was not asked to stop; "
            "if that is allowed, make it transient or temporary"
        )


class UnaskedCancellation(RuntimeFailure):
    """An actor ended as cancelled although its supervisor had not cancelled it.

    On asyncio that is what an actor sees that awaits a cancelled future, or whose task somebody
    else cancelled. If it were let through, it would cancel all siblings without a word.
    """

    def __init__(self, child: str) -> None:
        super().__init__(child)
        self.child = child

    def __str__(self) -> str:
        return (
            f"actor {self.child!r} was cancelled, but not by its supervisor; "
            "something that it awaits was cancelled from elsewhere"
        )
