"""Which records make up the next batch: those of one lane, one batch after another. Pure.

How this works. Every record waits in its lane at once. A lane whose records fill a batch, or whose
first record has waited for the interval, is ready once it is not busy. Unlike in `lanes.py` a lane
is remembered as long as records wait in it, since a batch is made of what has come meanwhile.

The rules are those of `lanes.py`. The time is passed in; `wait` asks for a call of `note_due`.
"""

from collections import deque
from collections.abc import Callable, Collection
from functools import partial

from sdml_kafka.consuming.ledger import Tenancy
from sdml_kafka.listener.processing.job import BatchLane, Job, JobBatch, new_job
from sdml_kafka.listener.processing.lanes import NullKey
from sdml_kafka.listener.processing.policies import Batch, Order
from sdml_kafka.listener.typed_queue import Parcel


class BatchLanes:
    """The records that wait for a handler that takes batches."""

    def __init__(
        self,
        order: Order,
        null_key: NullKey,
        batch: Batch,
        wait: Callable[[float, BatchLane], None],
        begins_at: Callable[[Job, float], float] | None = None,
        on_reopened: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without records.

        Args:
            order: Which batches wait for each other.
            null_key: Whether batches of records without a key do, with the order "key".
            batch: How large a batch is, and how long its first record waits.
            wait: Asks for a call of `note_due` with this lane at this time.
            begins_at: Returns when a record may begin; None if each may at once.
            on_reopened: Called when records may begin that `Tenancy.may_begin` had refused.
        """
        self._order = order
        self._null_key_is_free = null_key == "free"
        self._batch = batch
        self._wait = wait
        self._begins_at = begins_at
        self._on_reopened = on_reopened
        self._closed: set[Tenancy] = set()
        """The tenancies of which records may not begin now."""
        self._lanes: dict[Tenancy, dict[object, BatchLane]] = {}
        self._ready: deque[BatchLane] = deque()
        self._repeated: deque[JobBatch] = deque()
        self.queued: int = 0
        """The number of records that wait here."""

    @property
    def busy(self) -> int:
        """The number of lanes of which a batch is in hand."""
        return sum(lane.is_busy for lanes in self._lanes.values() for lane in lanes.values())

    def startable(self, most: int) -> int:
        """Return how many batches may begin, counted up to `most`."""
        return min(most, len(self._ready) + len(self._repeated))

    def add(self, parcel: Parcel, now: float) -> None:
        """Let the records of a parcel wait in their lanes, from its next one on."""
        tenancy = parcel.chunk.tenancy
        lanes = self._lanes.setdefault(tenancy, {})
        by_key = self._order == "key"
        for at in range(parcel.next, parcel.end):
            job = new_job(parcel, at)
            job.key = key = job.record.key if by_key else None
            job.keep_alone()
            lane = lanes.get(key)
            if lane is None:
                is_free = self._order == "none" or (by_key and key is None)
                is_ordered = not (is_free and (not by_key or self._null_key_is_free))
                lane = lanes[key] = BatchLane(tenancy, key, is_ordered)
            lane.waiting.append(job)
            if len(lane.waiting) == 1:
                self._begin_waiting(lane, now)
            elif len(lane.waiting) >= self._batch.size:
                self._note_ready(lane)
        self.queued += parcel.end - parcel.next
        parcel.next = parcel.end

    def _begin_waiting(self, lane: BatchLane, now: float) -> None:
        lane.due = now + self._batch.interval_s
        if self._batch.size == 1 or not self._batch.interval_s:
            self._note_ready(lane)
        else:
            self._wait(lane.due, lane)

    def _note_ready(self, lane: BatchLane) -> None:
        if not lane.is_ready and not lane.is_busy:
            lane.is_ready = True
            self._ready.append(lane)

    def note_due(self, lane: BatchLane, now: float) -> None:
        """Look at a lane whose time has come, if it still waits."""
        if lane.waiting and now >= lane.due:
            self._note_ready(lane)

    def take(self, now: float) -> JobBatch | None:
        """Return the next batch, None if there is none. Its lane is busy from now on."""
        if self._repeated:
            return self._repeated.popleft()
        while self._ready:
            lane = self._ready.popleft()
            lane.is_ready = False
            jobs: list[Job] = []
            may_begin = lane.tenancy.may_begin
            while lane.waiting and len(jobs) < self._batch.size:
                if not may_begin(lane.waiting[0].offset):
                    self._close(lane.tenancy)
                    break
                if self._begins_at is not None and self._must_wait(lane, now):
                    break
                jobs.append(lane.waiting.popleft())
            if not jobs:
                continue  # `reopen` or `note_due` looks at it again
            self.queued -= len(jobs)
            batch = JobBatch(jobs, lane)
            if lane.is_ordered:
                lane.is_busy = True
            if lane.waiting:
                lane.due = now + self._batch.interval_s
            self._look_again(lane, now)
            return batch
        return None

    def _must_wait(self, lane: BatchLane, now: float) -> bool:
        """Return whether the first record of a lane is not due; then ask for a call when it is."""
        assert self._begins_at is not None
        at = self._begins_at(lane.waiting[0], now)
        if at > now:
            lane.due = at
            self._wait(at, lane)
        return at > now

    def _look_again(self, lane: BatchLane, now: float) -> None:
        """See when the rest of a lane is due; forget a lane that has none and is not busy."""
        if lane.is_busy:
            return
        if not lane.waiting:
            lanes = self._lanes.get(lane.tenancy)
            if lanes is not None and lanes.get(lane.key) is lane:
                del lanes[lane.key]
        elif len(lane.waiting) >= self._batch.size or now >= lane.due:
            self._note_ready(lane)
        else:
            self._wait(lane.due, lane)

    def free(self, batch: JobBatch, now: float) -> None:
        """Let the next batch of a lane begin."""
        batch.lane.is_busy = False
        self._look_again(batch.lane, now)

    def repeat(self, batch: JobBatch) -> None:
        """Let a batch that was taken, and whose lane is still busy, begin again."""
        self._repeated.append(batch)

    def _close(self, tenancy: Tenancy) -> None:
        """Have the lanes of a tenancy looked at again once more may begin."""
        if tenancy not in self._closed:
            self._closed.add(tenancy)
            tenancy.call_when_more_may_begin(partial(self._reopen, tenancy))

    def _reopen(self, tenancy: Tenancy) -> None:
        self.reopen(tenancy)
        self._on_reopened()

    def reopen(self, tenancy: Tenancy) -> None:
        """Look again at the lanes of a tenancy in which nothing could begin beyond an offset."""
        self._closed.discard(tenancy)
        for lane in self._lanes.get(tenancy, {}).values():
            if lane.waiting:
                self._note_ready(lane)

    def take_all(self) -> list[Parcel]:
        """Remove what waits, and return it, later records of a tenancy before earlier ones."""
        lanes = [lane for lanes in self._lanes.values() for lane in lanes.values()]
        parcels = [job.as_parcel() for lane in lanes for job in lane.waiting]
        self.drop(list(self._lanes))
        return sorted(parcels, key=lambda parcel: parcel.offset, reverse=True)

    def drop(self, tenancies: Collection[Tenancy]) -> list[JobBatch]:
        """Forget what waits of these tenancies. Batches that were taken go on.

        Return those that were to begin again.
        """
        for tenancy in tenancies:
            self._closed.discard(tenancy)
            for lane in self._lanes.pop(tenancy, {}).values():
                self.queued -= len(lane.waiting)
                lane.waiting.clear()
        gone = set(tenancies)
        self._ready = deque(lane for lane in self._ready if lane.tenancy not in gone)
        dropped = [each for each in self._repeated if each.tenancy in gone]
        self._repeated = deque(each for each in self._repeated if each.tenancy not in gone)
        return dropped
