"""The records of a processor as the jobs of its workers; see `sdml_kafka.workers.pool.Jobs`."""

from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import partial
from inspect import isawaitable
from typing import Any

from sdml_kafka.listener.batch_parser import BatchParser, Unparsed
from sdml_kafka.listener.processing.handler import Handler
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.lanes import Lanes
from sdml_kafka.listener.processing.outcomes import GIVEN_BACK, Failed, Outcomes
from sdml_kafka.listener.typed_queue import TypedQueue
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.workers.threads import Threads


class Work:
    """Takes records from the queue into their lanes, and runs the handler for them."""

    def __init__(
        self,
        handler: Handler,
        queue: TypedQueue,
        lanes: Lanes,
        parser: BatchParser,
        outcomes: Outcomes,
        concurrency: int,
        wake: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """Join what a processor consists of.

        Handlers run in copies of the context that this is called in.
        """
        self._handler = handler
        self._queue = queue
        self._lanes = lanes
        self._parser = parser
        self._outcomes = outcomes
        self._wake = wake
        self._clock = clock
        self._context = copy_context()
        self._threads = Threads()
        self.now: float = 0.0
        self.in_hand: set[Job] = set()
        """The records that were taken and have not left. The handlers of those with a scope run."""
        self._concurrency = concurrency
        self._abandoned = 0
        """The number of threads that go on though their records were given back."""
        self.times: deque[float] = deque(maxlen=1000)
        """Seconds that the last handlers took."""
        self.is_stopped: bool = False
        """Whether nothing more is to begin."""
        self._call: Callable[[Any, Job], Awaitable[object]] = (
            handler.function if handler.is_async else self._call_plain
        )

    def take(self) -> Job | None:
        """Return the next record that may begin, None if none may."""
        while not self.is_stopped and self._has_room():
            job = self._lanes.take()
            if job is not None:
                self.now = job.began = self._clock()
                job.tenancy.taken += 1
                self.in_hand.add(job)
                return job
            parcel = self._queue.take_parcel()
            if parcel is None:
                return None
            self._lanes.add(parcel)
        return None

    def _has_room(self) -> bool:
        """Return whether a handler may run beside the threads that could not be cut off."""
        if not self._abandoned:
            return True
        running = sum(job.running_scope is not None for job in self.in_hand)
        return running + self._abandoned < self._concurrency

    def waiting(self, most: int) -> int:
        """Return how many records may begin, counted up to `most`."""
        count = self._lanes.startable(most)
        return count if count >= most else min(most, count + len(self._queue))

    def context(self, job: Job) -> Context:
        """Return a fresh context."""
        return self._context.copy()

    async def handle(self, job: Job) -> object:
        """Return what the handler returns for a record, or what stands for its failure."""
        spec = job.spec
        if spec is None:
            value: Any = job.raw
        else:
            try:
                value = spec.parser(job.record)
            except Exception as error:
                value = Unparsed(error)
            if value.__class__ is not spec.accepts:
                value = await self._look_closer(job, spec, value)
                if value is SKIP or value is GIVEN_BACK:
                    return None if value is SKIP else value
        job.set_value(value)
        try:
            return await self._call(value, job)
        except Exception as error:
            return Failed(error)

    async def _look_closer(self, job: Job, spec: CompiledSpec, value: object) -> object:
        """Return the value if it is right after all, `SKIP`, or `GIVEN_BACK`.

        It may be of a subclass, or awaitable; or the record did not parse.
        """
        try:
            if not isinstance(value, Unparsed):
                return await self._parser.parse_one(spec, job.record, value)
            await self._parser.handle_error(spec, job.record, value.error)
        except Exception:  # the listener is being stopped with it
            return GIVEN_BACK
        return SKIP

    async def _call_plain(self, value: Any, job: Job) -> object:
        function = partial(self._handler.function, value, job)
        result = await self._threads.run(function, self._abandon_thread, self._thread_ended)
        return await result if isawaitable(result) else result

    def _abandon_thread(self) -> None:
        self._abandoned += 1

    def _thread_ended(self) -> None:
        self._abandoned -= 1
        self._wake()

    def ended(self, job: Job, result: object) -> None:
        """Settle a record whose handler has ended."""
        job.running_scope = None
        self.times.append(self._clock() - job.began)
        self._outcomes.ended(job, result)

    def failed(self, job: Job, error: BaseException) -> None:
        """Fail a record whose handler raised a cancellation that nobody had asked for."""
        failure = RuntimeError("the handler raised a cancellation that nobody had asked for")
        failure.__cause__ = error
        self.ended(job, Failed(failure))

    def cut_off(self, job: Job) -> None:
        """Give back a record whose handler was cut off at a hand-over."""
        job.running_scope = None
        self._outcomes.cut_off(job)

    def abandon(self, job: Job) -> None:
        """Give back a record because the processor ends."""
        self.cut_off(job)
