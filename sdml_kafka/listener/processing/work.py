"""The records of a processor as the jobs of its workers; see `sdml_kafka.workers.pool.Jobs`."""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextvars import Context, copy_context
from functools import partial
from inspect import isawaitable
from typing import Any, Protocol

from sdml_kafka.consuming.ledger import Tenancy
from sdml_kafka.listener.batch_parser import NOT_CALLED, BatchParser, Unparsed
from sdml_kafka.listener.processing.handler import Handler
from sdml_kafka.listener.processing.job import Item, Job, JobBatch
from sdml_kafka.listener.processing.outcomes import GIVEN_BACK, LEFT_OUT, Failed, Outcomes
from sdml_kafka.listener.processing.retrying.queues import RetryQueues
from sdml_kafka.listener.typed_queue import Parcel, TypedQueue
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.workers.threads import Threads


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

    def __init__(
        self,
        handler: Handler,
        queue: TypedQueue | RetryQueues,
        lanes: LaneSet,
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
        self.handle: Callable[[Any], Coroutine[Any, Any, object]] = (
            self._handle_batch if handler.takes_batches else self._handle_record
        )
        self._call: Callable[..., Awaitable[object]] = (
            handler.function if handler.is_async else self._call_plain
        )

    def take(self) -> Item | None:
        """Return what the handler is to be called for next, None if nothing may begin."""
        while not self.is_stopped and self._has_room():
            self.now = now = self._clock()
            item: Item | None = self._lanes.take(now)
            if item is not None:
                item.began = now
                self._take_in_hand(item)
                return item
            parcel = self._queue.take_parcel()
            if parcel is None:
                return None
            self._lanes.add(parcel, now)
        return None

    def _take_in_hand(self, item: Item) -> None:
        for job in item.jobs:
            if job not in self.in_hand:  # with a further attempt it is already
                self.in_hand.add(job)
                job.tenancy.taken += 1

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

    def context(self, item: Item) -> Context:
        """Return a fresh context."""
        return self._context.copy()

    async def _handle_record(self, job: Job) -> object:
        """Return what the handler returns for a record, or what stands for its failure."""
        value, parse = job.raw, job.parse
        if parse is not None:
            try:
                value = parse(value)
            except Exception as error:
                value = Unparsed(error)
            if value.__class__ is not job.spec.accepts:  # type: ignore[union-attr]  # with `parse`
                value = await self._look_closer(job, value)
                if value is SKIP or value is GIVEN_BACK:
                    return LEFT_OUT if value is SKIP else value
        job.set_value(value)
        try:
            return await self._call(value, job)
        except Exception as error:
            return Failed(error)

    async def _handle_batch(self, batch: JobBatch) -> object:
        """Parse the records of a batch, and return what the handler returns for them."""
        kept: list[Job] = []
        for job in batch.jobs:
            value, parse = job.raw, job.parse
            if parse is not None:
                try:
                    value = parse(value)
                except Exception as error:
                    value = Unparsed(error)
                if value.__class__ is not job.spec.accepts:  # type: ignore[union-attr]
                    value = await self._look_closer(job, value)
            if value is GIVEN_BACK:
                return value
            if value is SKIP:
                self._outcomes.leave_out(job)
            else:
                job.set_value(value)
                kept.append(job)
        batch.jobs = kept
        try:
            return await self._call(list(kept)) if kept else None
        except Exception as error:
            return Failed(error)

    async def _look_closer(self, job: Job, value: object) -> object:
        """Return the value if it is right after all, `SKIP`, or `GIVEN_BACK`.

        It may be of a subclass, or awaitable; or the record did not parse.
        """
        spec = job.spec
        assert spec is not None
        try:
            if isinstance(value, Unparsed) and job.parse is spec.decode:
                value = NOT_CALLED  # the parser itself has more to say
            return await self._parser.settle_one(spec, job.record, value, *job.place)
        except Exception:  # the listener is being stopped with it
            return GIVEN_BACK

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
        self.times.append(self._clock() - item.began)
        self._outcomes.ended(item, result)

    def failed(self, item: Item, error: BaseException) -> None:
        """Fail a record whose handler raised a cancellation that nobody had asked for."""
        failure = RuntimeError("the handler raised a cancellation that nobody had asked for")
        failure.__cause__ = error
        self.ended(item, Failed(failure))

    def cut_off(self, item: Item) -> None:
        """Give back a record whose handler was cut off at a hand-over."""
        item.running_scope = None
        self._outcomes.cut_off(item)

    def abandon(self, item: Item) -> None:
        """Give back a record because the processor ends."""
        self.cut_off(item)
