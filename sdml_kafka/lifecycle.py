"""The life of a listener, a client and a server: new, starting, running, closed.

A public object is entered once, by `async with` or by `start()`. `start()` keeps a task of its own
that enters and leaves the object, since both have to happen in the same task. An object whose
start failed or was cut off is new again.

A process that is forked gets copies. What was new may be entered there; what was entered is
"forked" in the child, whose every use is an error. A fork changes the state and so no use
has to ask for the process.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from logging import getLogger
from math import inf
from threading import get_ident
from time import monotonic
from types import TracebackType
from typing import Any, Literal, Self
from weakref import WeakSet

import anyio

from sdml_kafka.errors import (
    ClientClosed,
    ClientNotStarted,
    ConfigurationError,
    EnteredBeforeFork,
    SdmlKafkaError,
)
from sdml_kafka.log_fields import fields
from sdml_kafka.runtime import Supervisor, supervise
from sdml_kafka.runtime.errors import RuntimeFailure, describe
from sdml_kafka.runtime.waiter import clock, on_trio

_log = getLogger("sdml_kafka")

ACTOR_GRACE_S = 1.0
"""Seconds that an actor's start may take beyond its own timeout, whose error is clearer."""
SUPERVISOR_GRACE_S = 2.0
"""Seconds that a tree's start may take beyond the timeout of its actors, whose errors are clearer.
"""

_MARK = "_sdml_kafka_has_failed"
"""The attribute of an error that an object has failed with."""

MIN_TIMEOUT_S = 0.1
"""Seconds that starting and stopping get at least."""


def check_timeouts(
    start_timeout: float, stop_timeout: float, drain_timeout: float | None = None
) -> None:
    """Raise ConfigurationError unless each is a finite number of seconds; None is accepted."""
    for name, seconds, least in (
        ("drain_timeout", 0.0 if drain_timeout is None else drain_timeout, 0.0),
        ("start_timeout", start_timeout, MIN_TIMEOUT_S),
        ("stop_timeout", stop_timeout, MIN_TIMEOUT_S),
    ):
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_number or not least <= seconds < float("inf"):
            raise ConfigurationError(f"{name} is in seconds, {least:g} or more, not {seconds!r}")


def is_expected(error: Exception) -> bool:
    """Return whether an error of an actor explains itself, so that its traceback adds nothing."""
    return isinstance(error, SdmlKafkaError | RuntimeFailure)


def was_cancelled(error: BaseException) -> bool:
    """Return whether a body ends since the task around it is cancelled.

    What comes out may be another error: tasks of the body may raise as they are cancelled.
    """
    is_cancelled = isinstance(error, anyio.get_cancelled_exc_class())
    return is_cancelled or anyio.current_effective_deadline() == -inf


class Lifecycle:
    """Where a public object stands in its life, and how `start()` and `stop()` move it."""

    def __init__(
        self,
        what: str,
        start_timeout_s: float,
        stop_timeout_s: float,
        on_ended: Callable[[Exception | None], None] = lambda failure: None,
        on_forked: Callable[[EnteredBeforeFork], None] = lambda error: None,
        started_by: str = "start()",
    ) -> None:
        """Begin as new.

        Args:
            what: The word for the object in errors: "listener", "client", "server".
            start_timeout_s: Seconds that the actors have to start.
            stop_timeout_s: Seconds that the actors have to stop.
            on_ended: Called when an object that `start()` entered has been left, with its failure.
            on_forked: Called in a forked process, where the object must not be used, with the error
                for whoever reads from it. No event loop runs, and nothing may be woken.
            started_by: What starts the object without `async with`, for errors.
        """
        self.state: Literal["new", "starting", "running", "closed", "forked"] = "new"
        self.what: str = what
        self.failure: str | None = None
        """The error that the context has ended with, as text. None if it has ended with none,
        or with one that another object has failed with."""
        self.now: Callable[[], float] = monotonic
        """The clock of the event loop that the object was entered on, which any thread may read;
        the machine's before that."""
        self._thread: int | None = None
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._on_ended = on_ended
        self._on_forked = on_forked
        self._started_by = started_by
        self._task: _OwnTask | None = None

    @asynccontextmanager
    async def entered(self, supervisor: Supervisor) -> AsyncGenerator[None]:
        """Run the actors. The state is "closed" as soon as the body ends, before they stop.

        Args:
            supervisor: The root of the object's actors.
        """
        self.state, self.failure = "starting", None
        self.now, self._thread = clock(), get_ident()
        _entered.add(self)
        try:
            async with supervise(
                supervisor,
                start_timeout_s=self._start_timeout_s + SUPERVISOR_GRACE_S,
                stop_timeout_s=self._stop_timeout_s,
            ):
                self.state = "running"
                try:
                    yield
                finally:
                    self.state = "closed"
        except Exception as error:
            own = supervisor.failure
            if own is None and not _is_of_another(error):
                own = error
            self.failure = None if own is None else _with_notes(own)
            _mark(error)
            raise
        finally:
            self._has_ended()

    def _has_ended(self) -> None:
        # If the body never ran, the object may be entered again.
        self.state = "new" if self.state == "starting" else "closed"
        _entered.discard(self)

    @property
    def is_elsewhere(self) -> bool:
        """True in another thread than the one whose event loop the object lives on.

        There nothing may be brought up to date: what the object shows may be half a second old.
        """
        return self._thread is not None and self._thread != get_ident()

    def forked(self) -> None:
        """Note that this is a copy in a forked process."""
        self.state = "forked"
        self._on_forked(self._forked_error())

    def check_process(self) -> None:
        """Raise EnteredBeforeFork when the object was entered by the process that forked."""
        if self.state == "forked":
            raise self._forked_error()

    def _forked_error(self) -> EnteredBeforeFork:
        return EnteredBeforeFork(
            f"This {self.what} was entered before this process was forked, and belongs to the "
            f"process that entered it: enter a {self.what} after the fork. One that was made "
            "before the fork will do, as long as nobody has entered it."
        )

    def check_new(self) -> None:
        """Raise ClientClosed unless the object may be entered.

        Entering checks this before anything that its end would undo: a second entering must not
        close what the first one runs.
        """
        self.check_process()
        if self.state in ("starting", "running") and self.was_started:
            raise ClientClosed(
                f"{self._started_by} has started this {self.what} already: enter it with "
                "`async with` first and use it inside, or leave `async with` out and end it with "
                "stop()"
            )
        if self.state != "new":
            raise ClientClosed(f"A {self.what} can be entered once: make a new one")

    def check_open(self) -> None:
        """Raise ClientClosed when the object has been left."""
        self.check_process()
        if self.state == "closed":
            raise ClientClosed(f"The {self.what} was left: make and enter a new one")

    @property
    def runs_in_own_task(self) -> bool:
        """True if `start()` entered the object and `stop()` was not called yet."""
        return self._task is not None and not self._task.is_stopping

    @property
    def was_started(self) -> bool:
        """True if `start()` entered the object."""
        return self._task is not None

    async def start(self, client: AbstractAsyncContextManager[Any], timeout_s: float = inf) -> bool:
        """Enter `client` in a task of its own. Calling it again is harmless.

        Several callers share one start. A start that takes longer than the timeout of a caller goes
        on; when its last caller is cancelled, the start is cut off.

        Returns:
            Whether the object has been entered, or left by `stop()` meanwhile, within `timeout_s`.

        Raises:
            ClientClosed: The object was left.
            ClientNotStarted: Another task is entering the object, or this is trio.
        """
        self.check_open()
        if on_trio():
            raise ClientNotStarted(
                "start() and stop() work on asyncio only. On trio: "
                f"`async with {type(client).__name__}(...)`"
            )
        with anyio.move_on_after(None if timeout_s == inf else timeout_s) as patience:
            while self.state != "running":
                self.check_open()
                if (task := self._task) is not None:
                    await task.wait_started(patience)
                    if task.is_stopping:
                        break
                elif self.state == "starting":
                    raise ClientNotStarted(
                        f"The {self.what} is being entered: use it inside its `async with`"
                    )
                else:
                    self._task = _OwnTask(client, f"sdml-kafka {self.what}", self._task_ended)
        return not patience.cancelled_caught

    def _task_ended(self, failure: Exception | None, *, is_known: bool) -> None:
        if self.state != "new":
            self._on_ended(failure)
            return
        self._task = None
        if failure is not None and not is_known:
            text = "the %s did not start, and nobody waits for it: %s"
            _log.warning(text, self.what, failure, extra=fields(error=failure))

    async def stop(self) -> None:
        """Leave what `start()` entered, and raise what it failed with.

        Calling it again is harmless.
        """
        self.check_process()
        if self._task is not None:
            self.state = "closed"
            await self._task.stop()

    async def ended(self) -> None:
        """Wait until what `start()` entered has been left, and raise what it failed with."""
        if self._task is not None:
            await self._task.wait_ended()


def _mark(error: Exception) -> None:
    """Note on an error that an object has failed with it: those around it have not."""
    with suppress(AttributeError, TypeError):  # a class of errors may take no attributes
        error.__dict__[_MARK] = True


def _is_of_another(error: BaseException) -> bool:
    """Return whether an object has failed with the error, or with all those of a group."""
    if _MARK in getattr(error, "__dict__", ()):
        return True
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())  # those of a group
    return bool(inner) and all(map(_is_of_another, inner))


def _with_notes(error: BaseException) -> str:
    """Return class, text and notes of an error; a note says which record it is about."""
    return "; ".join([describe(error), *getattr(error, "__notes__", ())])


class Enterable:
    """`async with` for a public object that has a lifecycle.

    anyio's mixin would do, if it let a copy in a forked process say what it is.
    """

    _lifecycle: Lifecycle
    _context: AbstractAsyncContextManager[Self] | None = None

    def __asynccontextmanager__(self) -> AbstractAsyncContextManager[Self]:
        raise NotImplementedError  # each public class has it

    async def __aenter__(self) -> Self:
        """Enter the object; see its class."""
        self._lifecycle.check_new()
        context = self.__asynccontextmanager__()
        entered = await context.__aenter__()
        self._context = context
        return entered

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Leave the object; see its class."""
        assert self._context is not None
        context, self._context = self._context, None  # the error would keep itself alive
        return await context.__aexit__(kind, error, trace)


_entered: WeakSet[Lifecycle] = WeakSet()
"""The lifecycles that this process has entered and not left."""


def _mark_forked() -> None:
    for each in list(_entered):
        each.forked()
    _entered.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_mark_forked)


class _OwnTask:
    """The task that enters a client, and leaves it when `stop()` asks."""

    def __init__(
        self,
        client: AbstractAsyncContextManager[Any],
        name: str,
        on_ended: Callable[..., None],
    ) -> None:
        self._client = client
        self._on_ended = on_ended
        self._failure: Exception | None = None
        self._has_started = False
        self._settled = asyncio.Event()
        """Set when the client has started, or ended without having started."""
        self._waiting = 0
        """The number of callers that wait for the start."""
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._live(), name=name)
        self._task.add_done_callback(self._end)  # also if it is cancelled before it runs

    async def _live(self) -> None:
        try:
            async with self._client:
                self._has_started = True
                self._settled.set()
                await self._stop.wait()
        except Exception as error:
            self._failure = error

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._settled.set()
        self._on_ended(self._failure, is_known=self._waiting > 0)

    @property
    def is_stopping(self) -> bool:
        """True if `stop()` has asked the task to leave the client."""
        return self._stop.is_set()

    async def wait_started(self, patience: anyio.CancelScope) -> None:
        """Wait until the client has started, and raise what it failed with.

        Return without a start if that was cut off, to be tried again. Cut it off if this wait is
        cancelled, unless that is for want of `patience`, or others wait, or it has just started.
        """
        self._waiting += 1
        try:
            await self._settled.wait()
        except asyncio.CancelledError:
            is_last = self._waiting == 1 and not self._settled.is_set()
            if is_last and not patience.cancel_called:
                await self._cut_off()
            raise
        finally:
            self._waiting -= 1
        if self._failure is not None:
            raise self._failure

    async def _cut_off(self) -> None:
        self._task.cancel()
        with anyio.CancelScope(shield=True):  # the client bounds its own leaving
            await asyncio.wait({self._task})

    async def wait_ended(self) -> None:
        """Wait until the client has been left, and raise what it failed with."""
        await asyncio.wait({self._task})
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Leave the client, and raise what it failed with; cut off a start that goes on."""
        self._stop.set()
        if not self._has_started:
            self._task.cancel()
        await self.wait_ended()
