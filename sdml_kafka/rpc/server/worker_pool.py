"""The workers: tasks that answer request after request, made on demand and kept.

A request costs no task, timer or scope of its own. Who suspends in a handler wakes two others, so
that a burst spreads quickly, and handlers that never suspend are answered by one worker alone.
"""

from collections.abc import Callable
from contextvars import Context, copy_context
from math import inf

import anyio
import anyio.abc
import anyio.lowlevel

from sdml_kafka.rpc.deadline import DEADLINE
from sdml_kafka.rpc.dialects.messages import DEADLINE_EXCEEDED
from sdml_kafka.rpc.server.call import Answer, Call
from sdml_kafka.rpc.server.handler_runner import CANCELLED, Answering
from sdml_kafka.rpc.server.handlers import Handler
from sdml_kafka.rpc.server.replies import RepliesOut
from sdml_kafka.rpc.server.request_intake import Reception
from sdml_kafka.rpc.server.request_queue import RequestQueue
from sdml_kafka.rpc.server.status import Counts
from sdml_kafka.rpc.server.worker import Worker
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.runtime.waiter import Waiter, clock, waiter_maker, wake
from sdml_kafka.workers.deadline_timer import Alarm

BREATH_S = 0.01
"""Workers whose handlers never suspend let the others run this often."""


class Workers:
    """What the tasks share; outlives their actor's restarts."""

    def __init__(
        self,
        concurrency: int,
        queue: RequestQueue,
        reception: Reception,
        replies: RepliesOut,
        counts: Counts,
    ) -> None:
        self._concurrency = concurrency
        self._queue = queue
        self._reception = reception
        self._replies = replies
        self._counts = counts
        self.answering: Answering
        self.alarm: Alarm = Alarm(self._cut_off_overdue)
        self.clock: Callable[[], float]
        self.now: float = 0.0
        """When the last request was taken."""
        self.breathe_at: float = 0.0
        self._new_waiter: Callable[[], Waiter]
        self._context: Context
        self._tasks: anyio.abc.TaskGroup | None = None
        self._workers: set[Worker] = set()
        self._failure: BaseException | None = None
        self._has_failed: anyio.Event
        self._idle: list[Waiter] = []
        self._coming = 0
        """Workers that were woken or made, and did not look for work yet."""

    def open(self, tasks: anyio.abc.TaskGroup) -> None:
        self.clock, self._new_waiter = clock(), waiter_maker()
        self._context = copy_context()
        self._idle.clear()
        self._coming = 0
        self._tasks = tasks
        self._failure, self._has_failed = None, anyio.Event()
        self.look()

    def close(self) -> None:
        self._tasks = None

    # -- waking --------------------------------------------------------------------------

    def look(self) -> None:
        """There may be something to do."""
        if self._tasks is not None and not self._coming:
            self._wake(1)

    def has_come(self) -> None:
        """Requests have come."""
        self._queue.refresh()
        self.look()

    def has_place(self, handler: Handler) -> None:
        """One fewer of its requests runs."""
        self._queue.unpark(handler)
        self.look()

    def _wake(self, count: int) -> None:
        for _ in range(count):
            if self._idle:
                wake(self._idle.pop())
            elif self._tasks is not None and len(self._workers) < self._concurrency:
                worker = Worker(self)
                self._workers.add(worker)
                self._tasks.start_soon(worker.live)
            else:
                return
            self._coming += 1

    def suspended(self, call: Call) -> None:
        """Its handler waits for something: others may go on meanwhile."""
        if call.due < self.alarm.at:
            self.alarm.at_latest(call.due)
        more = self._queue.waiting(self._coming + 2) - self._coming
        if more > 0:
            self._wake(more)

    async def idle(self) -> None:
        """Wait for work."""
        waiter = self._new_waiter()
        self._idle.append(waiter)
        try:
            await waiter
        except BaseException:  # cancelled
            if waiter in self._idle:
                self._idle.remove(waiter)
            else:
                self.came()
            raise
        self.came()
        self.breathe_at = self.clock() + BREATH_S

    def came(self) -> None:
        self._coming -= 1

    async def breathe(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.breathe_at = self.clock() + BREATH_S

    def fail(self, error: BaseException) -> None:
        self._failure = error
        self._has_failed.set()

    async def failed(self) -> BaseException:
        """Wait until a worker ends with an error, which no handler's `Exception` is."""
        await self._has_failed.wait()
        assert self._failure is not None
        return self._failure

    def left(self, worker: Worker) -> None:
        self._workers.discard(worker)

    # -- calls ---------------------------------------------------------------------------

    def next(self) -> Call | None:
        while self._replies.has_room():
            self.now = now = self.clock()
            taken = self._queue.take(now)
            if taken is None:
                return None
            call = self._reception.receive(*taken, now, self.clock)
            if call is not None:
                call.handler.running += 1
                return call
        return None

    def context(self, call: Call) -> Context:
        context = self._context.copy()
        if call.due != inf:
            context.run(DEADLINE.set, call.due)
        return context

    def ended(self, call: Call, answer: Answer, *, is_answered: bool = True) -> None:
        """`is_answered`: by the handler itself, so that a repeat may have it too."""
        self._over(call)
        if call.repeat_key is not None:
            for waiting in self._waiting_for(call, answer if is_answered else None):
                self._replies.let_go(waiting)
                self._replies.finish(waiting, answer)
        self._replies.finish(call, answer)

    def abandon(self, call: Call) -> None:
        """It has neither ended nor finished: it comes again elsewhere."""
        self._over(call)
        for given_back in (*self._waiting_for(call, None), call):
            if given_back is not call:
                self._replies.let_go(given_back)
            self._counts.in_flight -= 1
            given_back.chunk.give_back()

    def cut_off(self, call: Call) -> None:
        """Its scope was cancelled."""
        if call.is_cancelled:
            self._counts.cancelled += 1
            answer = Answer(b"")
        elif call.due <= self.clock():
            answer = Answer(b"", DEADLINE_EXCEEDED, "the deadline passed in the handler")
        else:
            answer = Answer(b"", CANCELLED)
        self.ended(call, answer, is_answered=False)

    def _over(self, call: Call) -> None:
        call.running_scope = None
        handler = call.handler
        handler.running -= 1
        if handler.parked:
            self._queue.unpark(handler)
        if call.sequence is not None:
            self._reception.cancels.end(call)

    def _waiting_for(self, call: Call, answer: Answer | None) -> list[Call]:
        repeats = self._reception.repeats
        if call.repeat_key is None or repeats is None:
            return []
        size = len(answer.value) if answer is not None else 0
        return repeats.end(call.repeat_key, answer, size, self.clock())

    def _cut_off_overdue(self, now: float) -> float:
        earliest = inf
        for worker in self._workers:
            call = worker.call
            if call is None or call.running_scope is None:
                continue
            if call.due > now:
                earliest = min(earliest, call.due)
            elif not call.running_scope.cancel_called:
                call.running_scope.cancel()
        return earliest


class WorkerPool(Actor):
    """The actor that the workers' tasks belong to."""

    def __init__(
        self, workers: Workers, replies: RepliesOut, answering: Callable[[], Answering]
    ) -> None:
        self._workers = workers
        self._replies = replies
        self._answering = answering

    async def run(self, life: Life) -> None:
        workers, replies = self._workers, self._replies
        async with anyio.create_task_group() as tasks:
            workers.answering = self._answering()
            replies.on_room = workers.look
            tasks.start_soon(workers.alarm.run)
            tasks.start_soon(replies.alarm.run)
            workers.open(tasks)
            try:
                with life.cancel_on_stop():
                    life.started()
                    raise await workers.failed()
            finally:
                workers.close()
            tasks.cancel_scope.cancel()
