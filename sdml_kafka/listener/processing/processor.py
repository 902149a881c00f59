"""A processor: the records of one type, handled side by side by one function."""

from collections.abc import Callable, Collection
from typing import Any

import anyio
from anyio.abc import TaskGroup
from attrs import frozen

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.listener.batch_parser import BatchParser
from sdml_kafka.listener.hooked.records import RecordHooks
from sdml_kafka.listener.processing.batch_lanes import BatchLanes
from sdml_kafka.listener.processing.forwards import Forwards
from sdml_kafka.listener.processing.job import BatchLane, Item, Job
from sdml_kafka.listener.processing.lanes import Lanes
from sdml_kafka.listener.processing.options import Options
from sdml_kafka.listener.processing.outcomes.not_yet_sent import NotYetSent
from sdml_kafka.listener.processing.outcomes.outcomes import Outcomes, Policies
from sdml_kafka.listener.processing.retrying.creation import RetryTopicMaker
from sdml_kafka.listener.processing.retrying.due_lanes import DueLanes
from sdml_kafka.listener.processing.retrying.plan import RetryPlan
from sdml_kafka.listener.processing.retrying.queues import RetryQueues
from sdml_kafka.listener.processing.status import ProcessorStatus, percentile
from sdml_kafka.listener.processing.timetable import Timetable
from sdml_kafka.listener.processing.work import LaneSet, Work
from sdml_kafka.listener.typed_queue import TypedQueue
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.producing.serializers import Serializers
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime.waiter import clock
from sdml_kafka.workers.pool import Pool


@frozen
class Surroundings:
    """The parts that the processors of a listener share."""

    parser: BatchParser
    outbox: Outbox
    serializers: Serializers
    log: RateLimitedLog
    group: Callable[[], str]
    """Returns the name of the consumer group."""
    wall_clock: Callable[[], float]
    """Returns seconds since the epoch."""
    on_failure: Callable[[Exception], None]
    """Called with the error that has to stop the listener."""
    can_send: bool
    """True if there is a producer."""
    hooks: Hooks


class Processor:
    """Handles the records of a queue until it is cancelled or the listener is left."""

    def __init__(
        self,
        options: Options,
        queue: TypedQueue | RetryQueues,
        around: Surroundings,
        plan: RetryPlan | None = None,
    ) -> None:
        """Join the parts. The handlers run in copies of the context that this is called in."""
        self._clock = now = clock()
        self._pool: Pool[Any, object] = Pool(options.concurrency)
        self._queue = queue
        self._around = around
        self._due = Timetable[BatchLane](self._batch_due)
        self._later = Timetable[Job](self._repeat)
        self._lanes = self._make_lanes(options, plan)
        self._hooks = hooks = RecordHooks(around.hooks, options.name)
        self._again = Timetable[Item](self._repeat)
        self._forwards = self._make_forwards(options.name)
        self._not_yet_sent = NotYetSent(around.parser.preparations)
        self._outcomes = self._outcomes_class()(
            Policies(options.retry, plan, options.on_failure, around.can_send),
            options.name,
            around.group,
            self._forwards,
            around.serializers,
            self._again,
            around.log,
            now,
            self._left,
            self._put_back,
            self._stop_listener,
            hooks,
            self._not_yet_sent,
        )
        parts = self._lanes, around.parser, self._outcomes, self._pool.workers
        self._work = self._work_class()(options, queue, *parts, self._wake, now, hooks)

    # A processor with transactions has others of these parts.

    def _make_forwards(self, name: str) -> Forwards:
        around = self._around
        return Forwards(around.outbox, around.log, self._clock, self._wake)

    def _outcomes_class(self) -> Callable[..., Outcomes]:
        return Outcomes

    def _work_class(self) -> Callable[..., Work]:
        return Work

    def _make_lanes(self, options: Options, plan: RetryPlan | None) -> LaneSet:
        order, null_key, batch = options.order, options.null_key, options.batch
        if batch is not None:
            begins_at = None if plan is None else plan.begins_at
            return BatchLanes(order, null_key, batch, self._due.add, begins_at, self._wake)
        if plan is not None:
            return DueLanes(order, null_key, plan, self._later.add, self._wake)
        return Lanes(order, null_key, self._wake)

    async def run(self, maker: RetryTopicMaker | None = None) -> None:
        """Handle records until the listener is left, and create retry topics meanwhile."""
        with self._queue.taken_from(self._withdraw):
            try:
                async with anyio.create_task_group() as tasks:
                    self._not_yet_sent.open(tasks)
                    self._pool.open(tasks, self._work)
                    try:
                        await self._handle_all(tasks, maker)
                    finally:
                        # Before the tasks end: what is acknowledged meanwhile wakes the pool, and a
                        # group that has ended takes no more workers.
                        self._pool.close()
                    tasks.cancel_scope.cancel()
            finally:
                self._begin_nothing_more()
                self._give_all_back()

    async def _handle_all(self, tasks: TaskGroup, maker: RetryTopicMaker | None) -> None:
        """Handle records until the listener is left, and the handlers that run have ended."""
        tasks.start_soon(self._again.run)
        tasks.start_soon(self._due.run)
        tasks.start_soon(self._later.run)
        tasks.start_soon(self._forwards.run)
        tasks.start_soon(self._raise_failure)
        if maker is not None:
            tasks.start_soon(maker.run)
        first, *others = self._queue.each
        for queue in others:
            tasks.start_soon(self._feed, queue)
        await self._feed(first)
        self._begin_nothing_more()
        await self._work.wait_idle()

    async def _feed(self, queue: TypedQueue) -> None:
        """Have the workers look whenever something has come, until the listener is left."""
        while not queue.closed:
            self._pool.wake()  # before the first wait too: something may have come before this task
            await queue.wait()

    async def _raise_failure(self) -> None:
        raise await self._pool.wait_failed()

    def _begin_nothing_more(self) -> None:
        """Give back what waits for an attempt or for the broker; handlers that run may end."""
        self._work.is_stopped = True
        for item in self._again.take_if(lambda item: True):
            self._outcomes.cut_off(item)
        self._forwards.close()

    # -- what the parts call -------------------------------------------------------------

    def _repeat(self, item: Item) -> None:
        self._lanes.repeat(item)
        self._pool.wake()

    def _batch_due(self, lane: BatchLane) -> None:
        lanes = self._lanes
        assert isinstance(lanes, BatchLanes)
        lanes.note_due(lane, self._clock())
        self._pool.wake()

    def _left(self, job: Job, *, frees_lane: bool = True) -> None:
        self._work.left(job, frees_lane=frees_lane)

    def _wake(self) -> None:
        self._pool.wake()

    def _put_back(self, job: Job) -> None:
        if not job.is_gone and not self._queue.closed:
            self._queue.put_back(job.as_parcel())

    def _stop_listener(self, error: Exception) -> None:
        self._work.is_stopped = True
        self._around.on_failure(error)

    def status(self) -> ProcessorStatus:
        """Return what the processor is doing right now."""
        work, counts = self._work, self._outcomes.counts
        begins = work.running_since()
        return ProcessorStatus(
            running=len(begins),
            queued=self._lanes.queued + len(self._later),
            keys=self._lanes.busy,
            oldest_s=self._clock() - min(begins) if begins else None,
            handler_p50_s=percentile(work.times, 0.5),
            handler_p99_s=percentile(work.times, 0.99),
            finished=counts.finished,
            retries=counts.retries,
            failures=counts.failures,
            dead_letters=counts.dead_letters,
            held=self._forwards.held(),
            transactions=counts.transactions,
            aborted=counts.aborted,
        )

    def unacknowledged(self) -> list[Job]:
        """Return the records whose handler has ended, and that wait for no further attempt.

        What was sent for them is not acknowledged. Any thread may ask.
        """
        again = {job for item in self._again.things() for job in item.jobs}
        return [job for job in self._work.pending() if job not in again]

    # -- hand-over and end ---------------------------------------------------------------

    def _withdraw(self, tenancies: Collection[Tenancy]) -> None:
        """Drop what waits of these tenancies; what is in hand may still finish."""
        for item in self._lanes.drop(tenancies):
            if self._work.is_pending(item):  # it was to begin again
                self._outcomes.cut_off(item)
        self._later.take_if(lambda job: job.is_gone)
        for item in self._again.take_if(lambda item: item.is_gone):
            self._outcomes.cut_off(item)
        self._forwards.give_back_gone()

    def cut_off(self, tenancies: Collection[Tenancy] | None = None) -> bool:
        """Give back what is in hand of these tenancies, or all; cancel the handlers that still run.

        Return whether there was something.
        """
        in_hand = self._work.in_hand()
        jobs = [job for job in in_hand if tenancies is None or job.tenancy in tenancies]
        for job in jobs:
            if job.running_scope is None:
                self._outcomes.give_back(job)
            else:
                job.running_scope.cancel()
        return bool(jobs)

    def _give_all_back(self) -> None:
        for job in self._work.in_hand():  # what is on its way to the broker
            self._outcomes.give_back(job)
        later = [job.as_parcel() for job in self._later.take_if(lambda job: True)]
        waiting = [*later, *self._lanes.take_all()]
        if not self._queue.closed:
            for parcel in sorted(waiting, key=lambda parcel: parcel.offset, reverse=True):
                self._queue.put_back(parcel)
