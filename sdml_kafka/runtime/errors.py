"""Every exception of the runtime, flat. All can be pickled: `args` are what they are made of."""

from typing import TypeGuard


def describe(error: BaseException) -> str:
    """An error in one line: its class and its text."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_grave(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether it is a KeyboardInterrupt or the like: no time for manners."""
    return error is not None and not isinstance(error, Exception)


class RuntimeFailure(Exception):
    """The runtime, not an actor, has something to report; base of all in this file."""


class SupervisorReused(RuntimeFailure):
    """A supervisor was run a second time: each one serves once, make a new one."""

    def __init__(self, supervisor: str) -> None:
        super().__init__(supervisor)
        self.supervisor = supervisor

    def __str__(self) -> str:
        return f"supervisor {self.supervisor!r} was run before; make a new one for each run"


class RestartsExhausted(RuntimeFailure):
    """An actor failed more often than its supervisor restarts; `__cause__` is the last error."""

    def __init__(self, child: str, count: int, window_s: float) -> None:
        super().__init__(child, count, window_s)
        self.child = child
        self.count = count
        self.window_s = window_s

    def __str__(self) -> str:
        last = f" with {describe(self.__cause__)}" if self.__cause__ is not None else ""
        return (
            f"actor {self.child!r} failed again{last}, after {self.count} restarts within "
            f"{self.window_s:g} s; mend the cause, or allow more with "
            "Restarts(max_restarts=..., window_s=...)"
        )


class StartTimeout(RuntimeFailure):
    """An actor did not say in time that it is ready."""

    def __init__(self, child: str, timeout_s: float) -> None:
        super().__init__(child, timeout_s)
        self.child = child
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return (
            f"actor {self.child!r} was not ready within {self.timeout_s:g} s; see what it waits "
            "for (it calls life.started() when it is ready), or allow more with start_timeout_s"
        )


class UnexpectedExit(RuntimeFailure):
    """A permanent actor returned although nobody had asked it to stop."""

    def __init__(self, child: str) -> None:
        super().__init__(child)
        self.child = child

    def __str__(self) -> str:
        return (
            f"actor {self.child!r} returned although it was not asked to stop; "
            "if it may, make it transient or temporary"
        )


class UnaskedCancellation(RuntimeFailure):
    """An actor ended as cancelled, and nobody had cancelled it.

    On asyncio that is what a cancelled future, or a foreign `task.cancel()`, looks like to the one
    that awaits it. Left alone it would silently take all the siblings along.
    """

    def __init__(self, child: str) -> None:
        super().__init__(child)
        self.child = child

    def __str__(self) -> str:
        return (
            f"actor {self.child!r} was cancelled, but not by its supervisor; "
            "something that it awaits was cancelled from elsewhere"
        )
