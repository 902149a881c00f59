"""A pool of workers: tasks that take one item after another, made on demand and kept.

How this works
--------------
An item costs no task, timer or scope of its own. A worker takes an item, drives the coroutine that
handles the item (`coroutine_steps.py`), hands on what the coroutine returned, and takes the next.
Items whose coroutines never suspend are all handled by one worker, at the price of a few calls of
functions, with a pause now and then that lets other tasks run.

A worker whose coroutine suspends cannot take more items for now, so it wakes two others, as far as
that many items wait. Each of these does the same, so a burst of items spreads over all workers
within a few steps of the event loop, and hardly any worker is woken in vain. The worker that went
idle last is woken first: under a light load the same few work, and the rest stay asleep.

Deadlines share one timer. It cancels the scope of the worker whose item is due; a cancelled scope
stays cancelled, so the worker goes on with a new one.

Rules for whoever edits this file
---------------------------------
1. `_coming` counts the workers that were made or woken and have not come to look for an item. While
   one is coming, nobody else needs to be woken for what has just arrived. So whoever counts down
   must take the next item, or find none, in the same step: no `await` in between. That holds for
   a worker that is cancelled in the moment when it is woken, too, since whoever kept the scope of
   an item may cancel an idle worker: it goes on in a new scope, and looks for an item.
2. What makes an item takeable must end in `wake`, or happen in a worker that goes on to take.
3. The frame of an idle worker must hold neither an item nor a result: it would keep the last one
   alive for as long as the worker sleeps.
4. A coroutine may end in a cancellation that nobody asked for; asyncio lets anybody raise one. It
   fails its item alone, and its worker is replaced.
5. On trio an item's own tasks may raise while the item is cut off. Then a group comes out that
   holds a cancellation beside their errors, and these fail the item, as they do on asyncio.
"""

from collections.abc import Callable, Coroutine
from contextvars import Context
from math import inf
from typing import Any, Protocol, cast

import anyio
import anyio.abc
import anyio.lowlevel

from sdml_kafka.runtime.incarnation import without_cancellation
from sdml_kafka.runtime.wait_queue import WaitQueue
from sdml_kafka.runtime.waiter import clock
from sdml_kafka.workers.coroutine_steps import ENDED, Steps, without_steps
from sdml_kafka.workers.deadline_timer import DeadlineTimer

BREATH_S = 0.01
"""Seconds that a worker goes on with items that never suspend before other tasks get their turn."""


class Item(Protocol):
    """An item that a worker takes."""

    due: float
    """When the item is cut off, on the clock of the event loop; `inf` if never."""
    running_scope: anyio.CancelScope | None
    """Set by the worker that takes the item. Whoever owns the item resets it when the item ends,
    since the worker's next item gets the same scope."""


class Jobs[I, R](Protocol):
    """Where the workers of a pool get their items, and what becomes of each.

    Exactly one of `ended`, `failed`, `cut_off` and `abandon` is called for each item taken.
    """

    now: float
    """The time when the last item was taken or later, on the clock of the event loop. The pool sets
    it when a worker has waited, so that `take` need not read the clock."""

    def take(self) -> I | None:
        """Return the next item, or None if none can be started now."""

    def waiting(self, most: int, /) -> int:
        """Return how many items wait to be taken, counted up to `most`."""
        ...

    def context(self, item: I, /) -> Context:
        """Return the context that the item's coroutine runs in."""
        ...

    def handle(self, item: I, /) -> Coroutine[Any, Any, R]:
        """Return the coroutine that handles the item. An error out of this ends the pool."""
        ...

    def ended(self, item: I, result: R, /) -> None:
        """Take the result of an item whose coroutine has returned."""

    def failed(self, item: I, error: BaseException, /) -> None:
        """Settle an item whose coroutine raised.

        It is an `Exception`, or a cancellation that nobody had asked for. What this raises ends the
        pool, and so does any other error out of a coroutine.
        """

    def cut_off(self, item: I, /) -> None:
        """Settle an item whose scope was cancelled."""

    def abandon(self, item: I, /) -> None:
        """Give up an item because the pool ends."""


class Pool[I: Item, R]:
    """Keeps the workers, and wakes as many as there is work for."""

    clock: Callable[[], float]
    idle: WaitQueue
    """The workers that wait for an item."""
    timer: DeadlineTimer

    def __init__(self, max_workers: int) -> None:
        """Make a pool without workers. Nothing happens before it is opened."""
        self._max_workers = max_workers
        self.workers: set[Worker[I, R]] = set()
        self.breathe_at: float = 0.0
        """When the worker that runs lets other tasks have their turn."""
        self._jobs: Jobs[I, R]
        self._tasks: anyio.abc.TaskGroup | None = None
        self._coming = 0
        self._failure: BaseException | None = None
        self._has_failed: anyio.Event

    def open(self, tasks: anyio.abc.TaskGroup, jobs: Jobs[I, R]) -> None:
        """Work in this task group. A pool that was closed may be opened again."""
        self.clock = clock()
        self.idle = WaitQueue(newest_first=True, on_lost=self._note_lost_wake_up)
        self.timer = DeadlineTimer(self._cut_off_overdue)
        self._coming = 0
        self._failure, self._has_failed = None, anyio.Event()
        self._jobs, self._tasks = jobs, tasks
        tasks.start_soon(self.timer.run)
        self.wake()

    def close(self) -> None:
        """Wake and make no more workers. Those that run end with the task group."""
        self._tasks = None

    async def wait_failed(self) -> BaseException:
        """Wait until a worker ends with an error, and return the error."""
        await self._has_failed.wait()
        assert self._failure is not None
        return self._failure

    def wake(self) -> None:
        """Have a worker look for items: there may be an item that was not there before."""
        if self._tasks is not None and not self._coming:
            if self.idle.wake_one():
                self._coming += 1
            elif len(self.workers) < self._max_workers:
                self._make_worker()

    # -- for the workers -----------------------------------------------------------------

    def suspended(self, item: I) -> None:
        """Let others go on while the coroutine of `item` waits for something."""
        if item.due < self.timer.at:
            self.timer.schedule(item.due)
        if not self.idle and len(self.workers) >= self._max_workers:
            return  # each worker that ends an item takes the next
        more = self._jobs.waiting(self._coming + 2) - self._coming
        while more > 0:
            more -= 1
            if self.idle.wake_one():
                self._coming += 1
            elif len(self.workers) < self._max_workers:
                self._make_worker()
            else:
                break

    def note_start(self) -> None:
        """Count a worker that has just been made, and is about to look for an item."""
        self._coming -= 1
        self._jobs.now = self.clock()

    def note_wake_up(self) -> None:
        """Count a worker that was idle, and is about to look for an item."""
        self._coming -= 1
        self._jobs.now = now = self.clock()
        self.breathe_at = now + BREATH_S

    async def breathe(self) -> None:
        """Let other tasks have their turn."""
        await anyio.lowlevel.checkpoint()
        self._jobs.now = now = self.clock()
        self.breathe_at = now + BREATH_S

    def fail(self, error: BaseException) -> None:
        """Report to the owner of the pool what a worker ended with. No worker takes its place."""
        self.close()
        self._failure = error
        self._has_failed.set()

    def forget(self, worker: "Worker[I, R]") -> None:
        """Forget a worker whose task ends."""
        self.workers.discard(worker)

    # -- the pool's own ------------------------------------------------------------------

    def _note_lost_wake_up(self) -> None:
        self._coming -= 1

    def _make_worker(self) -> None:
        if self._tasks is not None:
            worker = Worker(self, self._jobs)
            self.workers.add(worker)
            self._tasks.start_soon(worker.live)
            self._coming += 1

    def _cut_off_overdue(self, now: float) -> float:
        earliest = inf
        for worker in self.workers:
            item = worker.item
            if item is None or item.running_scope is None:
                continue
            if item.due > now:
                earliest = min(earliest, item.due)
            elif not item.running_scope.cancel_called:
                item.running_scope.cancel()
        return earliest


class Worker[I: Item, R]:
    """One task, with one scope for all of its items until that scope is cancelled."""

    def __init__(self, pool: Pool[I, R], jobs: Jobs[I, R]) -> None:
        self._pool = pool
        self._jobs = jobs
        self.item: I | None = None
        """The item in hand."""

    async def live(self) -> None:
        """Handle items until cancelled, or until this task cannot be used any more."""
        pool = self._pool
        pool.note_start()
        try:
            is_usable = True
            while is_usable:
                with anyio.CancelScope() as scope:
                    is_usable = await self._work(scope)
                self._cut_off()
        except BaseException as error:
            if without_cancellation(error) is None:
                raise
            # Out of a task of asyncio a SystemExit would leave the event loop at once.
            pool.fail(error)
        finally:
            if self.item is not None:
                self._jobs.abandon(self.item)
            pool.forget(self)
        pool.wake()  # another worker takes the place of this one

    def _cut_off(self) -> None:
        # A method of its own, since a variable of `live` would keep the item alive.
        if (item := self.item) is not None:
            self.item = None
            self._jobs.cut_off(item)

    async def _work(self, scope: anyio.CancelScope) -> bool:
        """Handle items until the scope is cancelled; return whether the task is still usable."""
        pool, jobs, steps = self._pool, self._jobs, Steps[R]()
        while not scope.cancel_called:
            item = jobs.take()
            if item is None:
                await pool.idle.wait()
                pool.note_wake_up()
                continue
            self.item, item.running_scope = item, scope
            context = jobs.context(item)
            coroutine = jobs.handle(item)
            try:
                yielded = context.run(steps.send, coroutine)
                if yielded is not ENDED:
                    pool.suspended(item)
                    await steps.run_to_end(context, yielded)
                del yielded
            except anyio.get_cancelled_exc_class() as error:
                if scope.cancel_called or anyio.current_effective_deadline() == -inf:
                    raise
                # Whoever raised it may have cancelled this task of asyncio for good.
                self.item = None
                jobs.failed(item, error)
                return False
            except BaseException as error:
                failure = _failure_of(error)
                if failure is None:
                    raise
                steps = Steps[R]()
                jobs.failed(item, failure)
                self.item = None
                del failure  # rule 3
            else:
                self.item = None
                jobs.ended(item, steps.result)  # type: ignore[arg-type]  # there is one
                steps.result = None  # rule 3
            del context, coroutine  # rule 3
            if jobs.now > pool.breathe_at:
                await pool.breathe()
        return True


def _failure_of(error: BaseException) -> Exception | None:
    """Return what a coroutine has failed with, None if it was cut off, or the program ends."""
    if isinstance(error, Exception):
        return without_steps(error)
    if not isinstance(error, BaseExceptionGroup):
        return None
    rest = without_cancellation(without_steps(cast("BaseExceptionGroup[BaseException]", error)))
    return rest if isinstance(rest, Exception) else None
