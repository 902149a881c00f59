"""Which records make up the next batch: those of one lane, one batch after another. Pure.

How this works. A parcel waits in its lane at once; by key it is taken apart into one for each key.
A lane whose records fill a batch, or whose first record has waited for the interval, is ready once
it is not busy. Unlike in `lanes.py` a lane is remembered as long as records wait in it, since a
batch is made of what has come meanwhile; that of a whole partition until it is revoked. Records
become jobs as a batch is made. What is left of a parcel then becomes a parcel of its own: the batch
may be done and gone long before the rest.

The rules are those of `lanes.py`. The time is passed in; `wait` asks for a call of `note_due`.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from functools import partial
from math import inf

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.processing.job import BatchLane, Job, JobBatch, new_job, new_jobs
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
        # Lists, since other threads may ask.
        homes = list(self._lanes.values())
        return sum(lane.is_busy for lanes in homes for lane in list(lanes.values()))

    def startable(self, most: int) -> int:
        """Return how many batches may begin, counted up to `most`."""
        return min(most, len(self._ready) + len(self._repeated))

    def add(self, parcel: Parcel, now: float) -> None:
        """Let the records of a parcel wait in their lanes, from its next one on."""
        self.queued += parcel.end - parcel.next
        lanes = self._lanes.setdefault(parcel.chunk.tenancy, {})
        for key, part in self._parts(parcel):
            lane = lanes.get(key)
            if lane is None:
                is_free = self._order == "none" or (
                    self._order == "key" and key is None and self._null_key_is_free
                )
                lane = lanes[key] = BatchLane(parcel.chunk.tenancy, key, not is_free)
            lane.waiting.append(part)
            count, lane.count = lane.count, lane.count + part.end - part.next
            if lane.count >= self._batch.size or not self._batch.interval_s:
                self._note_ready(lane)
            if not count:
                lane.due = now + self._batch.interval_s
                if not lane.is_ready:
                    self._wait_until_due(lane)

    def _parts(self, parcel: Parcel) -> Iterable[tuple[object, Parcel]]:
        """Return the records of each lane, by the key of the lane."""
        keys = parcel.keys() if self._order == "key" else ()
        if not keys:
            return ((None, parcel),)
        places: dict[object, list[int]] = {}
        for at in range(parcel.next, parcel.end):
            places.setdefault(keys[at], []).append(at)
        if len(places) == 1:
            return ((keys[parcel.next], parcel),)
        return [(key, parcel.some(each)) for key, each in places.items()]

    def _note_ready(self, lane: BatchLane) -> None:
        if not lane.is_ready and not lane.is_busy:
            lane.is_ready = True
            self._ready.append(lane)

    def note_due(self, lane: BatchLane, now: float) -> None:
        """Look at a lane whose time has come, if it still waits."""
        lane.looks_at = inf
        if lane.count and now >= lane.due:
            self._note_ready(lane)
        elif lane.count:
            self._wait_until_due(lane)

    def _wait_until_due(self, lane: BatchLane) -> None:
        """Ask for a call of `note_due`, unless one comes before: there is one for many batches."""
        if lane.due < lane.looks_at:
            lane.looks_at = lane.due
            self._wait(lane.due, lane)

    def take(self, now: float) -> JobBatch | None:
        """Return the next batch, None if there is none. Its lane is busy from now on."""
        if self._repeated:
            return self._repeated.popleft()
        while self._ready:
            lane = self._ready.popleft()
            lane.is_ready = False
            jobs = self._take_jobs(lane, now)
            if not jobs:
                continue  # `reopen` or `note_due` looks at it again
            lane.count -= len(jobs)
            self.queued -= len(jobs)
            batch = JobBatch(jobs, lane)
            if lane.is_ordered:
                lane.is_busy = True
            if lane.count:
                lane.due = now + self._batch.interval_s
            self._look_again(lane, now)
            return batch
        return None

    def _take_jobs(self, lane: BatchLane, now: float) -> list[Job]:
        """Take the first records that wait, as many as may begin and are a batch at most."""
        jobs: list[Job] = []
        waiting, size = lane.waiting, self._batch.size
        while waiting and len(jobs) < size:
            parcel = waiting[0]
            most = min(parcel.end - parcel.next, size - len(jobs))
            most = self._startable_of(parcel, most)
            if self._begins_at is None:
                jobs += new_jobs(parcel, most)
            else:
                jobs += self._due_of(lane, parcel, most, now)
            if parcel.next < parcel.end:
                if jobs:
                    waiting[0] = parcel.rest()
                    parcel.next = parcel.end
                break
            waiting.popleft()
        return jobs

    def _startable_of(self, parcel: Parcel, most: int) -> int:
        """Return how many of the first records of a parcel may begin by the offset map."""
        tenancy, offsets = parcel.chunk.tenancy, parcel.chunk.offsets
        begin = parcel.next
        if offsets[parcel.indices[begin + most - 1]] < tenancy.begins_below:
            return most
        for count in range(most):
            if not tenancy.may_begin(offsets[parcel.indices[begin + count]]):
                self._close(tenancy)
                return count
        return most

    def _due_of(self, lane: BatchLane, parcel: Parcel, most: int, now: float) -> list[Job]:
        """Take the first records of a parcel, up to one that is not due; ask for a call then."""
        assert self._begins_at is not None
        jobs: list[Job] = []
        while len(jobs) < most:
            job = lane.first
            if job is None:
                job = lane.first = new_job(parcel, parcel.next)
                job.keep_alone()
            at = self._begins_at(job, now)
            if at > now:
                lane.due = at
                self._wait_until_due(lane)
                break
            lane.first = None
            parcel.next += 1
            jobs.append(job)
        return jobs

    def _look_again(self, lane: BatchLane, now: float) -> None:
        """See when the rest of a lane is due; forget the lane of a key that has none."""
        if lane.is_busy:
            return
        if not lane.count:
            lanes = self._lanes.get(lane.tenancy)
            if self._order == "key" and lanes is not None and lanes.get(lane.key) is lane:
                del lanes[lane.key]
        elif lane.count >= self._batch.size or now >= lane.due:
            self._note_ready(lane)
        else:
            self._wait_until_due(lane)

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
            if lane.count:
                self._note_ready(lane)

    def take_all(self) -> list[Parcel]:
        """Remove what waits, and return it, later records of a tenancy before earlier ones."""
        lanes = [lane for lanes in self._lanes.values() for lane in lanes.values()]
        parcels = [
            parcel.some((at,))
            for lane in lanes
            for parcel in lane.waiting
            for at in range(parcel.next, parcel.end)
        ]
        self.drop(list(self._lanes))
        return sorted(parcels, key=lambda parcel: parcel.offset, reverse=True)

    def drop(self, tenancies: Collection[Tenancy]) -> list[JobBatch]:
        """Forget what waits of these tenancies. Batches that were taken go on.

        Return those that were to begin again.
        """
        for tenancy in tenancies:
            self._closed.discard(tenancy)
            for lane in self._lanes.pop(tenancy, {}).values():
                self.queued -= lane.count
                lane.waiting.clear()
                lane.count, lane.first = 0, None
        gone = set(tenancies)
        self._ready = deque(lane for lane in self._ready if lane.tenancy not in gone)
        dropped = [each for each in self._repeated if each.tenancy in gone]
        self._repeated = deque(each for each in self._repeated if each.tenancy not in gone)
        return dropped
