"""The supervisor: starts children in order, restarts those that fail, stops them in reverse order.

How this works. One task, that of `run`, does everything to the children, one thing at a time:
`_serve` starts them and then restarts those that fail, `_close` stops them. Each life of a child
has a task of its own (`incarnation.py`), out of which no error comes: when it ends, it calls
`child_crashed`, which notes the child in `_down` and wakes `_serve`, or else ends `_serve` because
no restart can help. `decide.py` holds the decisions (whom to restart, when, how often) as pure
functions; `child.py` holds the record of one child across its lives; `scope.py` runs a supervisor
around the body of an `async with` and decides what is raised there.

For whoever edits this file:

1. Only the task of `run` starts and stops children. What the children's tasks call notes, wakes
   and cancels; it neither waits nor raises.
2. A stop, or an error that no restart can mend, cuts `_serve` short at any `await`. So the state
   of supervisor and children must be right for `_close` at each `await`, not only after it.
3. The first failure stays the failure, but a KeyboardInterrupt or the like takes its place, and
   then nobody is given time to stop.
"""

import logging
import random as _random
from collections.abc import Callable, Iterable, Sequence

import anyio
import anyio.abc

from sdml_kafka.log_fields import escaped, fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime.actor import Actor, Life
from sdml_kafka.runtime.child import Child
from sdml_kafka.runtime.decide import (
    admit_restart,
    backoff_s,
    next_to_restart,
    plan_restart,
    wants_restart,
)
from sdml_kafka.runtime.errors import RestartsExhausted, SupervisorReused, describe, is_interrupt
from sdml_kafka.runtime.events import (
    ActorCrashed,
    Event,
    RecentEvent,
    RecentEvents,
    SupervisorGaveUp,
)
from sdml_kafka.runtime.restarts import Restarts, Strategy, check_choice
from sdml_kafka.runtime.snapshot import ActorSnapshot, ActorState
from sdml_kafka.runtime.spec import ChildSpec
from sdml_kafka.runtime.waiter import clock as clock_here

_logger = logging.getLogger("sdml_kafka.runtime")


def _never(_: Exception) -> bool:
    return False


def _check_names(supervisor: str, children: Sequence[ChildSpec]) -> None:
    if not supervisor:
        raise ValueError("name must not be empty")
    if wrong := [each for each in children if not isinstance(each, ChildSpec)]:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"children of {supervisor!r} must be ChildSpecs, not {wrong[0]!r:.300}")
    names = [spec.name for spec in children]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"children of {supervisor!r} must have unique names; not so: {twice}")


class Supervisor(Actor):
    """Runs its children and restarts those that fail. It is an actor, so that supervisors nest.

    `supervise` runs a supervisor around the body of an `async with`.

    Args:
        name: The supervisor's name in paths, snapshots, events and logs.
        children: The children, in the order in which they are started.
        strategy: Which children are restarted when one fails.
        restarts: How often and how fast children are restarted.
        is_fatal: Returns whether no restart can mend an error; the supervisor fails with such
            an error at once.
        is_expected: Returns whether an error explains itself, such as an outage. It is logged as a
            WARNING without its traceback, which the level DEBUG shows.
        on_event: Called for what happens to the children, and to those of nested supervisors
            that have no `on_event` of their own. It must be quick; what it raises is logged.
        clock: Returns the time in seconds.
        random: Returns a number from 0 to 1, by which delays are spread.

    Raises:
        ValueError: A name is empty or not unique, or the strategy is unknown.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[ChildSpec],
        *,
        strategy: Strategy = "one_for_one",
        restarts: Restarts = Restarts(),  # noqa: B008  (frozen)
        is_fatal: Callable[[Exception], bool] = _never,
        is_expected: Callable[[Exception], bool] = _never,
        on_event: Callable[[Event], object] | None = None,
        clock: Callable[[], float] = anyio.current_time,
        random: Callable[[], float] = _random.random,
    ) -> None:
        _check_names(name, children)
        check_choice("strategy", strategy, Strategy)
        self.name = name
        self.now: Callable[[], float] = clock
        self._strategy: Strategy = strategy
        self._restarts = restarts
        self._is_fatal = is_fatal
        self._is_expected = is_expected
        self._log = RateLimitedLog(_logger, clock)
        self._on_event = on_event
        self._recent = RecentEvents(lambda: self.now())
        self._random = random
        self._children = [Child(i, spec, self) for i, spec in enumerate(children)]
        self._state = ActorState.NEW
        self._born_at = 0.0
        self._life: Life | None = None
        self._serving: anyio.CancelScope | None = None
        self._grace: anyio.CancelScope | None = None
        self._wake: anyio.Event | None = None
        self._down: list[int] = []  # the children to restart, each once, as they failed
        self._restarted_at: tuple[float, ...] = ()
        self.failure: BaseException | None = None

    # What can be seen

    @property
    def path(self) -> tuple[str, ...]:
        """The names from the root down to this supervisor."""
        return self._life.path if self._life is not None else (self.name,)

    @property
    def closing(self) -> bool:
        """True if the supervisor has ceased to restart: it was asked to stop, or has failed."""
        return self._state in (ActorState.STOPPING, ActorState.STOPPED, ActorState.CRASHED)

    def members(self) -> tuple[ActorSnapshot, ...]:
        """Return snapshots of the children, in the order in which they are started."""
        return tuple(child.view() for child in self._children)

    def snapshot(self) -> ActorSnapshot:
        """Return the tree from here down, at this moment; `restarts` of its root is 0."""
        alive = self._state in (ActorState.STARTING, ActorState.RUNNING, ActorState.STOPPING)
        return ActorSnapshot(
            name=self.name,
            state=self._state,
            restarts=0,
            last_error=describe(self.failure) if self.failure is not None else None,
            inbox_depth=0,
            inbox_capacity=0,
            age_s=self.now() - self._born_at if alive else 0.0,
            children=self.members(),
        )

    def recent_events(self) -> tuple[RecentEvent, ...]:
        """Return the last crashes, restarts and ends in the tree from here down."""
        return self._recent.seen()

    # The life of the supervisor

    async def run(self, life: Life) -> None:
        """Run the tree until asked to stop, or until it fails.

        Raises:
            RestartsExhausted: A child failed more often than it may be restarted; the cause is
                the last error.
            SupervisorReused: The supervisor was run before.
            Exception: An error that is fatal, or that a child failed with in the first start.
        """
        if self._life is not None:
            raise SupervisorReused(self.name)
        if self.now is anyio.current_time:  # which other threads cannot call, for a snapshot
            self.now = clock_here()
        self._life, self._born_at = life, self.now()
        self._state = ActorState.STARTING
        try:
            async with anyio.create_task_group() as tasks:
                await self._serve(tasks, life)
                await self._close(tasks, life)
        except anyio.get_cancelled_exc_class():
            # The failure matters more than the cancellation that cut its handling short.
            if self.failure is None:
                raise
        finally:
            self._state = ActorState.STOPPED if self.failure is None else ActorState.CRASHED
        if self.failure is not None:
            raise self.failure

    async def _serve(self, tasks: anyio.abc.TaskGroup, life: Life) -> None:
        """Start and restart children until a stop or a fatal error cuts this short."""
        try:
            with life.cancel_on_stop() as self._serving:
                error = await self._start(tasks, self._children)
                if error is not None:
                    return self._fail(error)
                self._state = ActorState.RUNNING
                life.started()
                while True:
                    await self._restart(tasks, self._children[await self._next_down()])
        except Exception as error:
            self._fail(error)

    async def _close(self, tasks: anyio.abc.TaskGroup, life: Life) -> None:
        """Stop the children in reverse order, once nobody needs them any more."""
        self._state = ActorState.STOPPING
        life.ending()
        if self.failure is not None:
            self.emit(SupervisorGaveUp(self.path, self.failure))
            await life.wait_dispensable()
        with anyio.CancelScope() as self._grace:
            if not is_interrupt(self.failure):
                for child in reversed(self._children):
                    await child.stop()
        if is_interrupt(self.failure):
            tasks.cancel_scope.cancel(describe(self.failure))

    async def _start(
        self, tasks: anyio.abc.TaskGroup, children: Iterable[Child]
    ) -> BaseException | None:
        """Start children in order, up to the first that fails; return its error, or None."""
        for child in children:
            error = await child.start(tasks)
            if error is not None:
                return error
        return None

    async def _next_down(self) -> int:
        while not self._down:
            self._wake = anyio.Event()
            await self._wake.wait()
        return next_to_restart(self._strategy, self._down)

    async def _restart(self, tasks: anyio.abc.TaskGroup, failed: Child) -> None:
        """Restart a child that failed, and the siblings that the strategy adds."""
        admitted = admit_restart(self._restarted_at, self.now(), self._restarts)
        if admitted is None:
            count, window_s = self._restarts.max_restarts, self._restarts.window_s
            raise RestartsExhausted(failed.spec.name, count, window_s) from failed.last_error
        self._restarted_at = admitted
        failed_at = self.now()
        members = [child.member for child in self._children]
        plan = plan_restart(self._strategy, members, failed.index)
        for index in plan.stop:
            await self._children[index].stop()
        # A child that failed meanwhile is started with the others, one that finished is not.
        children = [self._children[i] for i in plan.start]
        children = [child for child in children if child.member.standing == "down"]
        self._down = [i for i in self._down if i not in plan.start]
        delay_s = backoff_s(failed.next_attempt(self._restarts), self._random(), self._restarts)
        for child in children:
            child.will_restart(delay_s)
        await anyio.sleep(delay_s)
        # A child that fails to start is down again, and its own restart covers those after it.
        if await self._start(tasks, children) is None and failed in children:
            path = "/".join(failed.path)
            why = escaped(describe(error) if (error := failed.last_error) is not None else "")
            took_s = self.now() - failed_at
            text = "actor %s runs again after %.1f s, restarted for %s"
            extra = fields(actor=path, seconds=took_s, error=error)
            _logger.info(text, path, took_s, why, extra=extra)

    # What the children's tasks call

    def child_crashed(self, child: Child, error: BaseException) -> None:
        """Log and report that a child failed, and have it restarted or fail."""
        final = is_interrupt(error) or (isinstance(error, Exception) and self._is_final(error))
        # A final error is raised out of the `async with`, so that it need not be logged as well.
        if not final and not _logged_below(child.actor, error):
            self._log_crash(child, error)
        self.emit(ActorCrashed(child.path, error))
        if final:
            self._fail(error)
        elif wants_restart(child.spec.restart, failed=True):
            self._down.append(child.index)
            if self._wake is not None:
                self._wake.set()

    def _log_crash(self, child: Child, error: BaseException) -> None:
        path, text = "/".join(child.path), describe(error)
        kind, extra = f"{path} {type(error).__name__}", fields(actor=path, error=error)
        if isinstance(error, Exception) and self._is_expected(error):
            self._log.log(logging.WARNING, kind, "actor %s failed: %s", path, text, extra=extra)
            _logger.debug("actor %s failed", path, exc_info=error, extra=extra)
        else:
            line = "actor %s crashed: %s"
            self._log.log(logging.ERROR, kind, line, path, text, error=error, extra=extra)

    def _is_final(self, error: Exception) -> bool:
        if self.closing:  # nothing is restarted any more
            return False
        try:
            return self._is_fatal(error)
        except Exception as failure:
            path = "/".join(self.path)
            extra = fields(actor=path, error=failure)
            _logger.exception("is_fatal of %s raised; that counts as yes", path, extra=extra)
            return True

    def _fail(self, error: BaseException) -> None:
        """Restart no more, and fail with `error`, unless another failure came first."""
        if self.failure is None or is_interrupt(error):
            self.failure = error
        if self._serving is not None:
            self._serving.cancel(describe(error))
        if self._grace is not None and is_interrupt(error):
            self._grace.cancel(describe(error))

    def emit(self, event: Event) -> None:
        """Report an event to the observer, and log what the observer raises."""
        self._recent.note(event)
        observer = self._on_event
        if observer is None and self._life is not None:
            observer = self._life.report
        if observer is None:
            return
        try:
            observer(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        # A CancelledError, too: a plain function gets one from elsewhere, and cancels no task here.
        except BaseException as error:
            path = "/".join(self.path)
            extra = fields(actor=path, error=error)
            _logger.exception("on_event of %s raised at %s", path, event, extra=extra)


def _logged_below(actor: Actor | None, error: BaseException) -> bool:
    """Return whether a nested supervisor, which passes the error on, has logged it."""
    if not isinstance(actor, Supervisor) or isinstance(error, RestartsExhausted):
        return False
    return actor.failure is error
