"""The supervisor: starts its children in order, mends what fails, stops them in reverse order."""

import logging
import random as _random
from collections.abc import Callable, Iterable, Sequence

import anyio
import anyio.abc

from sdml_kafka.runtime import decide
from sdml_kafka.runtime.actor import Actor, Life
from sdml_kafka.runtime.child import Child
from sdml_kafka.runtime.errors import RestartsExhausted, SupervisorReused, describe, is_grave
from sdml_kafka.runtime.events import ActorCrashed, Event, SupervisorGaveUp
from sdml_kafka.runtime.snapshot import ActorSnapshot, ActorState
from sdml_kafka.runtime.spec import ChildSpec, Restarts, Strategy, check_choice

_logger = logging.getLogger("sdml_kafka.runtime")


def _never(_: Exception) -> bool:
    return False


class Supervisor(Actor):
    """Runs its children and restarts those that fail. It is an actor, so that supervisors nest.

    One task, that of `run`, starts, mends and stops, one thing at a time. The children's tasks
    only note how they ended. `supervise` runs a supervisor around the body of an `async with`.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[ChildSpec],
        *,
        strategy: Strategy = "one_for_one",
        restarts: Restarts = Restarts(),  # noqa: B008  (frozen)
        is_fatal: Callable[[Exception], bool] = _never,
        on_event: Callable[[Event], object] | None = None,
        clock: Callable[[], float] = anyio.current_time,
        random: Callable[[], float] = _random.random,
    ) -> None:
        """Nothing is started yet; `children` is the order in which they will be.

        `is_fatal` says which errors no restart can mend: the supervisor fails with such an error
        at once. `on_event` is called for what happens to the children, and those of nested
        supervisors that have none of their own; it must be quick, what it raises is logged.
        `clock` tells the time in seconds and `random` a number from 0 to 1, for the restarts.
        `ValueError` for names that are empty or not unique, and for an unknown strategy.
        """
        if not name:
            raise ValueError("name must not be empty")
        names = [spec.name for spec in children]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"children of {name!r} must have unique names; not so: {twice}")
        check_choice("strategy", strategy, Strategy)
        self.name = name
        self.now: Callable[[], float] = clock
        self._strategy: Strategy = strategy
        self._restarts = restarts
        self._is_fatal = is_fatal
        self._on_event = on_event
        self._random = random
        self._children = [Child(i, spec, self) for i, spec in enumerate(children)]
        self._state = ActorState.NEW
        self._born_at = 0.0
        self._life: Life | None = None
        self._serving: anyio.CancelScope | None = None
        self._grace: anyio.CancelScope | None = None
        self._wake: anyio.Event | None = None
        self._down: list[int] = []  # failed and to be mended, in that order; each child once
        self._restarted_at: tuple[float, ...] = ()
        self.failure: BaseException | None = None

    # What can be seen

    @property
    def path(self) -> tuple[str, ...]:
        """Names from the root down to this supervisor."""
        return self._life.path if self._life is not None else (self.name,)

    @property
    def closing(self) -> bool:
        """Whether it restarts no more: it was asked to stop, or has failed."""
        return self._state in (ActorState.STOPPING, ActorState.STOPPED, ActorState.CRASHED)

    def members(self) -> tuple[ActorSnapshot, ...]:
        """Snapshots of the children, in the order in which they are started."""
        return tuple(child.view() for child in self._children)

    def snapshot(self) -> ActorSnapshot:
        """The tree from here down, at this moment. `restarts` of the root itself is 0."""
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

    # The life of the supervisor

    async def run(self, life: Life) -> None:
        """Run the tree until asked to stop, or until it fails.

        Raises `RestartsExhausted` from the last error; an error that is fatal, or that a child
        failed of in the first start, as itself; `SupervisorReused` if it was run before.
        """
        if self._life is not None:
            raise SupervisorReused(self.name)
        self._life, self._born_at = life, self.now()
        self._state = ActorState.STARTING
        try:
            async with anyio.create_task_group() as tasks:
                await self._serve(tasks, life)
                await self._close(tasks, life)
        except anyio.get_cancelled_exc_class():
            # That it was cut short matters less than why it failed.
            if self.failure is None:
                raise
        finally:
            self._state = ActorState.STOPPED if self.failure is None else ActorState.CRASHED
        if self.failure is not None:
            raise self.failure

    async def _serve(self, tasks: anyio.abc.TaskGroup, life: Life) -> None:
        """Start and mend. A stop or a fatal error cuts it short, whatever it waits for."""
        try:
            with life.cancel_on_stop() as self._serving:
                error = await self._start(tasks, self._children)
                if error is not None:
                    return self._fail(error)
                self._state = ActorState.RUNNING
                life.started()
                while True:
                    await self._mend(tasks, self._children[await self._next_down()])
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
            if not is_grave(self.failure):
                for child in reversed(self._children):
                    await child.stop()
        if is_grave(self.failure):
            tasks.cancel_scope.cancel(describe(self.failure))

    async def _start(
        self, tasks: anyio.abc.TaskGroup, children: Iterable[Child]
    ) -> BaseException | None:
        """Start in order; stops at the first that fails, and returns its error."""
        for child in children:
            error = await child.start(tasks)
            if error is not None:
                return error
        return None

    async def _next_down(self) -> int:
        while not self._down:
            self._wake = anyio.Event()
            await self._wake.wait()
        return decide.next_to_mend(self._strategy, self._down)

    async def _mend(self, tasks: anyio.abc.TaskGroup, failed: Child) -> None:
        """Restart a child that failed, and those siblings that the strategy adds."""
        admitted = decide.admit_restart(self._restarted_at, self.now(), self._restarts)
        if admitted is None:
            count, window_s = self._restarts.max_restarts, self._restarts.window_s
            raise RestartsExhausted(failed.spec.name, count, window_s) from failed.last_error
        self._restarted_at = admitted
        members = [child.member for child in self._children]
        plan = decide.plan_restart(self._strategy, members, failed.index)
        for index in plan.stop:
            await self._children[index].stop()
        # Whoever failed meanwhile is started along with the others; who finished is not.
        children = [self._children[i] for i in plan.start]
        children = [child for child in children if child.member.standing == "down"]
        self._down = [i for i in self._down if i not in plan.start]
        delay_s = decide.backoff_s(
            failed.next_attempt(self._restarts), self._random(), self._restarts
        )
        for child in children:
            child.will_restart(delay_s)
        await anyio.sleep(delay_s)
        # One that fails to start is down again, and its turn will cover those after it.
        await self._start(tasks, children)

    # What the children's tasks call

    def child_crashed(self, child: Child, error: BaseException) -> None:
        """A child failed: tell, then have it mended, or fail."""
        final = is_grave(error) or (isinstance(error, Exception) and self._fatal(error))
        # What cannot be mended comes out of the `async with`: no need to log it as well.
        if not final and not _logged_below(child.actor, error):
            text = describe(error)
            _logger.error("actor %s crashed: %s", "/".join(child.path), text, exc_info=error)
        self.emit(ActorCrashed(child.path, error))
        if final:
            self._fail(error)
        elif decide.wants_restart(child.spec.restart, failed=True):
            self._down.append(child.index)
            if self._wake is not None:
                self._wake.set()

    def _fatal(self, error: Exception) -> bool:
        if self.closing:  # nothing is going to be restarted
            return False
        try:
            return self._is_fatal(error)
        except Exception:
            _logger.exception("is_fatal of %s failed; so its answer is yes", "/".join(self.path))
            return True

    def _fail(self, error: BaseException) -> None:
        """Serve no more, and fail with `error`; the first one stays, unless this one is grave."""
        if self.failure is None or is_grave(error):
            self.failure = error
        if self._serving is not None:
            self._serving.cancel(describe(error))
        if self._grace is not None and is_grave(error):
            self._grace.cancel(describe(error))

    def emit(self, event: Event) -> None:
        """Tell the observer, who cannot do harm."""
        observer = self._on_event
        if observer is None and self._life is not None:
            observer = self._life.report
        if observer is None:
            return
        try:
            observer(event)
        except Exception:
            _logger.exception("the observer of %s failed at %s", "/".join(self.path), event)


def _logged_below(actor: Actor | None, error: BaseException) -> bool:
    """Whether a nested supervisor has logged an error that it merely passes on."""
    if not isinstance(actor, Supervisor) or isinstance(error, RestartsExhausted):
        return False
    return actor.failure is error
