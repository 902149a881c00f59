"""The records of a processor as the jobs of its workers; see `sdml_kafka.workers.pool.Jobs`."""

from collections import deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextvars import Context, copy_context
from functools import partial
from inspect import isawaitable
from math import inf
from typing import Any, Protocol

import anyio

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.batch_parser import GONE, NOT_CALLED, BatchParser, Unparsed
from sdml_kafka.listener.hooked.records import RecordHooks
from sdml_kafka.listener.processing.job import Item, Job, JobBatch
from sdml_kafka.listener.processing.options import Options
from sdml_kafka.listener.processing.outcomes.outcomes import Outcomes
from sdml_kafka.listener.processing.outcomes.results import GIVEN_BACK, LEFT_OUT, Failed
from sdml_kafka.listener.processing.retrying.queues import RetryQueues
from sdml_kafka.listener.typed_queue import Parcel, TypedQueue
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.workers.pool import Worker
from sdml_kafka.workers.threads import Threads

LONG_S = 0.5
"""Seconds after which a handler no longer keeps the records that its own came with in memory."""


class LaneSet(Protocol):
    """The order of what waits: `Lanes`, or `BatchLanes`."""

    @property
    def queued(self) -> int: ...
    @property
    def busy(self) -> int: ...
    def add(self, parcel: Parcel, now: float, /) -> None: ...
    def take(self, now: float, /) -> Any: ...
    def startable(self, most: int, /) -> int: ...
    def free(self, item: Any, now: float, /) -> None: ...
    def repeat(self, item: Any, /) -> None: ...
    def take_all(self) -> list[Parcel]: ...
    def drop(self, tenancies: Collection[Tenancy], /) -> Sequence[Item]: ...


class Work:
    """Takes records from the queue into their lanes, and runs the handler for them."""

    now: float = 0.0
    is_stopped: bool = False
    """True if nothing more is to begin."""

    def __init__(
        self,
        options: Options,
        queue: TypedQueue | RetryQueues,
        lanes: LaneSet,
        parser: BatchParser,
        outcomes: Outcomes,
        workers: Collection[Worker[Any, object]],
        wake: Callable[[], None],
        clock: Callable[[], float],
        hooks: RecordHooks,
    ) -> None:
        """Join what a processor consists of.

        `workers` are those of the pool: what they have in hand is what handlers run for. Handlers
        run in copies of the context that this is called in.
        """
        self._handler = handler = options.handler
        self._queue, self._lanes = queue, lanes
        self._parser = parser
        self._outcomes = outcomes
        self._counts = outcomes.counts
        self._limits = outcomes.limits
        self._workers = workers
        self._wake, self._clock = wake, clock
        self._context = copy_context()
        self._threads = Threads()
        self._pending: set[Job] = set()
        """The records in hand whose handler has ended, and who have not left."""
        self._has_left: anyio.Event | None = None
        self._concurrency, self._turn = options.concurrency, options.turn
        self._looks_at = 0.0
        """When to look again for handlers that run for long."""
        self._abandoned = 0
        """The number of threads that go on though their records were given back."""
        self.times: deque[float] = hooks.durations()
        """Seconds that the last handlers took."""
        self.handle: Callable[[Any], Coroutine[Any, Any, object]] = self._way_to_handle()
        call: Callable[..., Any] = handler.function if handler.is_async else self._call_plain
        self._call: Callable[..., Any] = hooks.around(call, takes_batches=handler.takes_batches)

    def _way_to_handle(self) -> Callable[[Any], Coroutine[Any, Any, object]]:
        if self._handler.takes_batches:
            return self._handle_batch
        return self._begin_record if self._handler.is_coroutine_function else self._handle_record

    def take(self) -> Item | None:
        """Return what the handler is to be called for next, None if nothing may begin."""
        lanes = self._lanes
        while not self.is_stopped and (not self._abandoned or self._has_room()):
            item: Item | None = lanes.take(self.now)
            if item is None:
                parcel = self._queue.take_parcel(self._turn)
                if parcel is None:
                    return None
                self._keep_running_alone()
                lanes.add(parcel, self.now)
                continue
            item.began = self.now
            if self._pending and item.jobs[0] in self._pending:  # for a further attempt
                self._pending.difference_update(item.jobs)
            elif type(item) is Job:
                item.parcel.chunk.tenancy.taken += 1
            else:
                item.tenancy.taken += len(item.jobs)
            return item
        return None

    def _keep_running_alone(self) -> None:
        """Let go of the parcels that have been taken, of which a record is handled for long."""
        if self.now < self._looks_at:
            return  # a look at thousands of handlers for each record would be slow
        self._looks_at = self.now + LONG_S / 2
        begun_by = self.now - LONG_S
        for item in self._running_items():
            if isinstance(item, JobBatch) or item.began > begun_by:
                continue  # the parcels of a batch belong to it alone
            if item.parcel.next >= item.parcel.end:
                item.keep_alone()

    def _has_room(self) -> bool:
        """Return whether a handler may run beside the threads that could not be cut off."""
        return len(self._running_items()) + self._abandoned < self._concurrency

    def _running_items(self) -> list[Item]:
        return [worker.item for worker in self._workers if worker.item is not None]

    def waiting(self, most: int) -> int:
        """Return how many records may begin, counted up to `most`."""
        count = self._lanes.startable(most)
        return count if count >= most else min(most, count + len(self._queue))

    def context(self, item: Item) -> Context:
        """Return a fresh context."""
        return self._context.copy()

    def _begin_record(self, job: Job) -> Coroutine[Any, Any, object]:
        """Return the handler's own coroutine, as far as the record parses.

        A coroutine that waits for this one would cost as much as all the rest of a record's way.
        """
        parcel = job.parcel
        value, parse = parcel.values[job.at], parcel.parse
        if parse is not None:
            try:
                value = parse(value)
            except Exception as error:
                value = Unparsed(error)
            if value.__class__ is not parcel.spec.accepts:  # type: ignore[union-attr]  # with parse
                return self._handle_doubtful(job, value)
        job._value = value  # pyright: ignore[reportPrivateUsage]  # a method takes a call more
        return self._call(value, job)  # type: ignore[no-any-return]  # a coroutine function

    async def _handle_record(self, job: Job) -> object:
        """Return what a handler returns that is called in a thread, or that need not await."""
        value = job.parse()
        if job.is_doubtful(value):
            return await self._handle_doubtful(job, value)
        job.set_value(value)
        return await self._call(value, job)

    async def _handle_doubtful(self, job: Job, value: object) -> object:
        """Return what the handler returns for a record that may have to be looked at closer."""
        value = await self._look_closer(job, job, value)
        if value is SKIP or value is GIVEN_BACK:
            return LEFT_OUT if value is SKIP else value
        job.set_value(value)
        return await self._call(value, job)

    async def _handle_batch(self, batch: JobBatch) -> object:
        """Parse the records of a batch, and return what the handler returns for them."""
        kept: list[Job] = []
        for job in batch.jobs:
            # The same as `_begin_record`, since calls for each record would cost twice as much.
            parcel = job.parcel
            value, parse = parcel.values[job.at], parcel.parse
            if parse is not None:
                try:
                    value = parse(value)
                except Exception as error:
                    value = Unparsed(error)
                if value.__class__ is not parcel.spec.accepts:  # type: ignore[union-attr]  # with parse
                    value = await self._look_closer(batch, job, value)
                    if value is GIVEN_BACK:
                        return value
                    if value is SKIP:
                        self._outcomes.leave_out(job)
                        continue
            job._value = value  # pyright: ignore[reportPrivateUsage]  # a method takes a call more
            kept.append(job)
        batch.jobs = kept
        return await self._call(list(kept)) if kept else None

    async def _look_closer(self, item: Item, job: Job, value: object) -> object:
        """Return the value if it is right after all, `SKIP`, or `GIVEN_BACK`.

        It may be of a subclass, or awaitable; or the record did not parse, or not yet.
        """
        spec = job.parcel.spec
        assert spec is not None
        is_unparsed = isinstance(value, Unparsed)
        if is_unparsed:
            item.began = inf  # what is held for its parser does not count as a handler's time
            if job.parcel.parse is spec.decode:
                value = NOT_CALLED  # the parser itself has more to say
        try:
            value = await self._parser.settle_one(spec, job.record, value, *job.place)
        except Exception:  # the listener is being stopped with it
            return GIVEN_BACK
        finally:
            if is_unparsed:
                item.began = self._clock()
        return GIVEN_BACK if value is GONE else value

    async def _call_plain(self, *arguments: Any) -> object:
        function = partial(self._handler.function, *arguments)
        result = await self._threads.run(function, self._abandon_thread, self._thread_ended)
        return await result if isawaitable(result) else result

    def _abandon_thread(self) -> None:
        self._abandoned += 1

    def _thread_ended(self) -> None:
        self._abandoned -= 1
        self._wake()

    def ended(self, item: Item, result: object) -> None:
        """Settle a record whose handler has ended."""
        item.running_scope = None
        self.now = now = self._clock()
        seconds = now - item.began
        if type(item) is JobBatch and result is None and item.has_no_verdict():
            self.times.append(seconds)
            self._finish_batch(item, now)
            return
        if (
            result is not None
            or type(item) is not Job
            or item.verdict is not None
            or item.is_settled
        ):
            if result is not LEFT_OUT and result is not GIVEN_BACK and item.jobs:
                self.times.append(seconds)  # a handler ran
            self._pending.update(item.jobs)
            self._outcomes.ended(item, result)
            return
        # The same without further calls, since this is by far the most frequent.
        self.times.append(seconds)
        parcel = item.parcel
        item.is_settled = True
        parcel.chunk.finish(parcel.indices[item.at])
        self._counts.finished += 1
        if self._limits.counts_good:
            self._limits.note_good(now)
        home = item.home
        if home is not None:
            if home.get(item.key) is None:
                home.pop(item.key, None)  # nothing waits in its lane
            else:
                self._lanes.free(item, now)
        if self._has_left is not None:
            self._has_left.set()

    def _finish_batch(self, batch: JobBatch, now: float) -> None:
        """Finish records that have ended well, in runs, and let the next batch begin."""
        count = len(batch.jobs)
        batch.finish()
        self._counts.finished += count
        if self._limits.counts_good and count:
            self._limits.note_good(now, count)
        if count and not batch.open:
            self._lanes.free(batch, now)
        if self._has_left is not None:
            self._has_left.set()

    def failed(self, item: Item, error: BaseException) -> None:
        """Fail a record whose handler raised: an error, or a cancellation nobody had asked for."""
        if isinstance(error, Exception):
            failure = error
        else:
            failure = RuntimeError("the handler raised a cancellation that nobody had asked for")
            failure.__cause__ = error
        self.ended(item, Failed(failure))

    def cut_off(self, item: Item) -> None:
        """Give back a record whose handler was cut off at a hand-over."""
        self.now = self._clock()
        item.running_scope = None
        self._outcomes.cut_off(item)

    def abandon(self, item: Item) -> None:
        """Give back a record because the processor ends."""
        self.cut_off(item)

    # -- what is in hand -----------------------------------------------------------------

    def in_hand(self) -> list[Job]:
        """Return the records that have not left. The handlers of those with a scope run."""
        return [*self._pending, *(job for item in self._running_items() for job in item.jobs)]

    def pending(self) -> list[Job]:
        """Return the records in hand whose handler has ended. Any thread may ask."""
        return list(self._pending)

    def is_pending(self, item: Item) -> bool:
        """Return whether a handler has had these records, which have not left."""
        return item.jobs[0] in self._pending

    def running_since(self) -> list[float]:
        """Return when each of the handlers that run began. Any thread may ask."""
        items = [worker.item for worker in list(self._workers)]
        begins = [item.began for item in items if item is not None]
        return [began for began in begins if began < inf]

    def left(self, job: Job, *, frees_lane: bool = True) -> None:
        """Forget a record that has left, and let the next one of its lane begin."""
        self._pending.discard(job)
        # Whoever is a worker takes what is free now.
        batch = job.batch
        if batch is None:
            if frees_lane:
                self._lanes.free(job, self.now)
        elif frees_lane:
            job.batch = None  # a cycle
            batch.open -= 1
            if not batch.open:
                self._lanes.free(batch, self._clock())
        if self._has_left is not None:
            self._has_left.set()

    async def wait_idle(self) -> None:
        """Wait until nothing is in hand."""
        while self.in_hand():
            self._has_left = anyio.Event()
            await self._has_left.wait()
