"""The life of a call: it is taken, answered, and ended, cut off or abandoned; and by whom."""

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from heapq import nsmallest
from math import inf
from operator import attrgetter
from typing import Any

import anyio

from sdml_kafka.rpc.call_in_flight import MAX_SHOWN, CallInFlight, shown_id
from sdml_kafka.rpc.deadline import DEADLINE
from sdml_kafka.rpc.dialects.messages import DEADLINE_EXCEEDED
from sdml_kafka.rpc.server.call import CANCELLED, Answer, ServerCall
from sdml_kafka.rpc.server.handler_runner import GivenBack, HandlerRunner
from sdml_kafka.rpc.server.replying.replies import Replies
from sdml_kafka.rpc.server.replying.reply import own_headers_of
from sdml_kafka.rpc.server.request_intake import RequestIntake
from sdml_kafka.rpc.server.request_queue import RequestQueue
from sdml_kafka.rpc.server.status import Counts
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.workers.deadline_timer import DeadlineTimer
from sdml_kafka.workers.pool import Pool


class CallLifecycle:
    """The calls as the workers' jobs; see `sdml_kafka.workers.pool.Jobs`."""

    def __init__(
        self,
        queue: RequestQueue,
        intake: RequestIntake,
        replies: Replies,
        counts: Counts,
        runner: HandlerRunner,
        clock: Callable[[], float],
    ) -> None:
        """Join what a server shares with what belongs to the event loop that runs here.

        Handlers run in copies of the context that this is called in.
        """
        self._queue = queue
        self._intake = intake
        self._replies = replies
        self._counts = counts
        self._runner = runner
        self._clock = clock
        self._bare_context = copy_context()
        self._due: float = inf
        self._context = self._bare_context
        """The context for calls with the deadline `_due`, without what handlers have set."""
        self.now: float = 0.0
        # Not methods, which would take a call more for each request.
        self.handle: Callable[[ServerCall], Coroutine[Any, Any, Answer]] = runner.answer
        self.waiting: Callable[[int], int] = queue.waiting

    def take(self) -> ServerCall | None:
        """Return the next call that needs a handler, if the broker keeps up with the replies."""
        while not self._replies.is_full:
            self.now = now = self._clock()
            lane = self._queue.take(now)
            if lane is None:
                return None
            call = lane.calls.pop()
            call.clock = self._clock
            call.chunk.tenancy.taken += 1
            self._counts.in_flight += 1
            if not call.is_special and call.due > now:
                self._counts.requests += 1
            elif not self._intake.admits(call, lane, now):
                continue
            call.handler.running += 1
            return call
        return None

    def context(self, call: ServerCall) -> Context:
        """Return a fresh context, in which calls of the handler's own inherit the deadline."""
        if call.due != self._due:  # calls that came together often have the same deadline
            self._due, self._context = call.due, self._bare_context.copy()
            if call.due != inf:
                self._context.run(DEADLINE.set, call.due)
        return self._context.copy()

    def ended(self, call: ServerCall, answer: Answer, *, is_repeatable: bool = True) -> None:
        """Send the answer of a call whose handler has ended.

        Args:
            call: The call.
            answer: Its answer.
            is_repeatable: Whether repeats get this answer as well, since it is the handler's own.
                Otherwise those that wait for it and have time left are handled themselves.
        """
        self._leave_handler(call)
        if call.own_headers is not None:
            answer = answer._replace(headers=(*own_headers_of(call), *answer.headers))
        if call.repeat_key is not None:
            repeats = self._waiting_for(call, answer if is_repeatable else None)
            for waiting in reversed(repeats):  # each that is put back gets in front
                self._replies.remove_waiting()
                if is_repeatable or not self._put_back(waiting):
                    self._replies.finish(waiting, answer)
        self._replies.finish(call, answer)

    def failed(self, call: ServerCall, error: BaseException) -> None:
        """Settle a call whose coroutine raised: one that was held is given back.

        Else it was a cancellation that nobody had asked for, which is answered.
        """
        if isinstance(error, GivenBack):
            self.abandon(call)
            return
        if isinstance(error, Exception):
            raise error  # out of the server itself, since handlers' errors became answers
        self.ended(call, self._runner.failed(call, error))

    def cut_off(self, call: ServerCall) -> None:
        """Answer a call whose scope was cancelled: by its deadline, its client or its handler."""
        if call.is_cancelled:
            self._counts.cancelled += 1
            answer = Answer(b"")
        elif call.due <= self._clock():
            answer = Answer(b"", DEADLINE_EXCEEDED, "the deadline passed in the handler")
        else:
            answer = Answer(b"", CANCELLED)
        self.ended(call, answer, is_repeatable=False)

    def abandon(self, call: ServerCall) -> None:
        """Give back a call that has neither ended nor finished: it comes again elsewhere."""
        self._leave_handler(call)
        for given_back in (*self._waiting_for(call, None), call):
            if given_back is not call:
                self._replies.remove_waiting()
            self._counts.in_flight -= 1
            given_back.chunk.give_back()

    def _put_back(self, call: ServerCall) -> bool:
        """Have a repeat handled itself that has waited for an answer that is none for it.

        Return False if its time is up as well, or its partition was taken away.
        """
        if call.due <= self._clock() or not self._queue.put_back(call):
            return False
        self._counts.in_flight -= 1
        call.chunk.give_back()
        return True

    def _leave_handler(self, call: ServerCall) -> None:
        call.running_scope = None
        handler = call.handler
        handler.running -= 1
        if handler.parked:
            self._queue.unpark(handler)
        if call.sequence is not None:
            self._intake.cancellations.end(call)

    def _waiting_for(self, call: ServerCall, answer: Answer | None) -> list[ServerCall]:
        repeats = self._intake.repeats
        if call.repeat_key is None or repeats is None:
            return []
        size = 0 if answer is None else _size_of(answer)
        return repeats.end(call.repeat_key, answer, size, self._clock())


def _size_of(answer: Answer) -> int:
    """Return about how many bytes an answer takes that is kept, of which callers may choose all."""
    headers = sum(len(name) + len(value) for name, value in answer.headers)
    return len(answer.value or b"") + len(answer.text) + headers


def oldest_in_handlers(
    pool: Pool[ServerCall, Answer], wall_clock: Callable[[], float]
) -> list[CallInFlight]:
    """Return the requests in handlers that were sent first, as far as their senders' clocks say.

    Any thread may ask.
    """
    items = [worker.item for worker in list(pool.workers)]
    calls = [item for item in items if item is not None]
    now = wall_clock() if calls else 0.0
    return [
        CallInFlight(
            topic=call.chunk.tenancy.topic,
            id=shown_id(call.id),
            age_s=max(0.0, now - call.timestamp / 1000),
            left_s=call.remaining_s,
        )
        for call in nsmallest(MAX_SHOWN, calls, key=attrgetter("timestamp"))
    ]


class WorkerPool(Actor):
    """The actor of the workers' tasks, and of the timer for replies that are sent again."""

    def __init__(
        self,
        pool: Pool[ServerCall, Answer],
        new_lifecycle: Callable[[], CallLifecycle],
        resend_timer: DeadlineTimer,
    ) -> None:
        self._pool = pool
        self._new_lifecycle = new_lifecycle
        self._resend_timer = resend_timer

    async def run(self, life: Life) -> None:
        """Work until asked to stop; raise what a worker ends with."""
        pool = self._pool
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._resend_timer.run)
            pool.open(tasks, self._new_lifecycle())
            try:
                with life.cancel_on_stop():
                    life.started()
                    raise await pool.wait_failed()
            finally:
                pool.close()
            tasks.cancel_scope.cancel()
