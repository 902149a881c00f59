"""Which record may begin next: one after another in each lane, the lanes side by side. Pure.

How this works. A *lane* is what keeps an order: the records of a partition, or those of a key of a
partition. A lane is busy from the moment when its record is taken until that is freed. What comes
for a busy lane waits in it, and the first that waits is ready once the lane is free. A lane that is
not busy is not remembered, so memory follows the records that wait, not the keys that were seen.

Parcels are kept as they come, each as a *stretch* of records, and looked through only as far as
somebody takes records. As long as lanes are free a record costs two steps in a dictionary. What
waits for a busy lane of a partition waits as a stretch, and what waits for a key as a record alone.

Rules for whoever edits this file:

- No await, no clock, no client. Whoever takes a job frees it, come what may.
- `Tenancy.behind` counts what waits for a key alone: it must not stop the reading of other keys.
- Of a tenancy that was dropped nothing is left here. A job of it that was taken before may still be
  freed, which frees nothing of the tenancy that comes after.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Literal

from attrs import define, field

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.processing.job import Job, new_job
from sdml_kafka.listener.processing.policies import Order
from sdml_kafka.listener.typed_queue import Parcel

NullKey = Literal["free", "partition"]
"""The order of records without a key: free of it, or in order with each other."""

Home = dict[object, "deque[Job | Stretch] | None"]
"""The busy lanes of one tenancy by their keys, each with what waits in it."""


@define(eq=False)
class Stretch:
    """The rest of a parcel, its next record on."""

    parcel: Parcel
    home: Home | None
    """The busy lanes of its tenancy, None if its records are free of order."""
    keys: Sequence[bytes | None]
    """The key of each record; empty if the lane does not depend on it."""
    tenancy: Tenancy
    last_offset: int

    def __len__(self) -> int:
        return self.parcel.end - self.parcel.next

    def next_job(self, home: Home | None, key: object) -> Job:
        """Take the next record."""
        parcel = self.parcel
        parcel.next += 1
        return new_job(parcel, parcel.next - 1, home, key)


class Lanes:
    """The records that wait for a handler, in the order that the program asked for."""

    def __init__(
        self,
        order: Order,
        null_key: NullKey = "free",
        on_reopened: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without records.

        Args:
            order: Which records wait for each other.
            null_key: Whether records without a key do.
            on_reopened: Called when records may begin that `Tenancy.may_begin` had refused.
        """
        self._order = order
        self._on_reopened = on_reopened
        self._null_key_is_free = order == "key" and null_key == "free"
        """True if records without a key are free of order."""
        self._stretches: deque[Stretch] = deque()
        self._ready: deque[Job | Stretch] = deque()
        """Jobs, and stretches of which the next record may begin, whose lanes are theirs."""
        self._homes: dict[Tenancy, Home] = {}
        self._closed: dict[Tenancy, Closed] = {}
        self._behind: int = 0
        """The number of records that wait in busy lanes, or in closed tenancies."""

    @property
    def queued(self) -> int:
        """The number of records that wait here."""
        # Lists, since other threads may ask.
        return _count(list(self._ready)) + _count(list(self._stretches)) + self._behind

    @property
    def busy(self) -> int:
        """The number of lanes that are busy."""
        return sum(map(len, self._homes.values()))

    def startable(self, most: int) -> int:
        """Return how many records may begin, counted up to `most`; some may prove to wait."""
        count, is_one_each = len(self._ready), self._order == "partition"
        for stretch in self._stretches:
            if count >= most:
                break
            length = len(stretch)
            count += min(1, length) if is_one_each else length
        return min(most, count)

    def add(self, parcel: Parcel, now: float = 0.0) -> None:
        """Let the records of a parcel wait, from its next one on."""
        chunk = parcel.chunk
        home: Home | None = self._homes.setdefault(chunk.tenancy, {})
        keys = parcel.keys() if self._order == "key" else ()
        if self._order == "none" or (self._null_key_is_free and not keys):
            home = None
        last_offset = chunk.offsets[parcel.indices[parcel.end - 1]]
        self._stretches.append(Stretch(parcel, home, keys, chunk.tenancy, last_offset))

    def take(self, now: float = 0.0) -> Job | None:
        """Return the next record that may begin, None if none may. Its lane is busy from now on."""
        if self._ready and (job := self._take_ready()) is not None:
            return job
        stretches = self._stretches
        while stretches:
            stretch = stretches[0]
            parcel = stretch.parcel
            at = parcel.next
            if at >= parcel.end:
                stretches.popleft()
                if stretch.tenancy.behind:
                    stretch.tenancy.call_if_low()
                continue
            if (
                self._closed or stretch.last_offset >= stretch.tenancy.begins_below
            ) and self._is_closed(stretch):
                self._close(stretch)
                continue
            home, key = stretch.home, None
            if home is not None:
                if stretch.keys:
                    key = stretch.keys[at]
                if key is None and self._null_key_is_free:
                    home = None
                elif key in home:
                    self._let_wait(stretch, home, key)
                    continue
                else:
                    home[key] = None
            parcel.next = at + 1
            # The same as `new_job`, which would take a call more.
            job = Job()
            job.parcel = parcel
            job.at = at
            job.home = home
            job.key = key
            job.is_settled = False
            job.verdict = None
            job.batch = None
            job.attempt = 1
            job._made = None  # pyright: ignore[reportPrivateUsage]
            return job
        return None

    def _take_ready(self) -> Job | None:
        """Return the next record of a lane that has become free, None if none may begin."""
        while self._ready:
            first = self._ready.popleft()
            offset = first.offset if isinstance(first, Job) else first.parcel.offset
            if not first.tenancy.may_begin(offset):
                self._behind += _count((first,))
                self._closed_of(first.tenancy).ready.append(first)
            elif isinstance(first, Job):
                return first
            else:
                job = first.next_job(first.home, None)
                if len(first):
                    self._put_back(first)
                return job
        return None

    def _put_back(self, stretch: Stretch) -> None:
        """Let what is left of a stretch wait for its own record, as the first in its lane."""
        home = stretch.home
        assert home is not None
        waiting = home[None]
        if waiting is None:
            waiting = home[None] = deque()
        waiting.appendleft(stretch)
        self._behind += len(stretch)

    def _let_wait(self, stretch: Stretch, home: Home, key: object) -> None:
        """Let the first stretch wait for its busy lane; with keys its next record alone."""
        waiting = home[key]
        if waiting is None:
            waiting = home[key] = deque()
        if self._order == "partition":
            self._stretches.popleft()
            self._behind += len(stretch)
            waiting.append(stretch)
        else:
            job = stretch.next_job(home, key)
            job.keep_alone()
            self._behind += 1
            stretch.tenancy.behind += 1
            waiting.append(job)

    def free(self, job: Job, now: float = 0.0) -> None:
        """Let the next record of a job's lane begin."""
        home = job.home
        if home is None:
            return
        waiting = home.pop(job.key, None)
        if waiting:
            first = waiting.popleft()
            self._ready.append(first)
            self._behind -= _count((first,))
            if isinstance(first, Job):
                first.tenancy.behind -= 1
            home[job.key] = waiting or None

    def repeat(self, job: Job) -> None:
        """Let a job that was taken, and whose lane is still busy, begin again."""
        self._ready.append(job)

    def _is_closed(self, stretch: Stretch) -> bool:
        if stretch.tenancy.may_begin(stretch.parcel.offset):
            # What was put aside goes first, even if it could begin by now.
            return stretch.tenancy in self._closed
        return True

    def _close(self, stretch: Stretch) -> None:
        self._stretches.popleft()
        self._behind += len(stretch)
        self._closed_of(stretch.tenancy).stretches.append(stretch)

    def _closed_of(self, tenancy: Tenancy) -> "Closed":
        """Return what is put aside of a tenancy; it is looked at again once more may begin."""
        closed = self._closed.get(tenancy)
        if closed is None:
            closed = self._closed[tenancy] = Closed()
            tenancy.call_when_more_may_begin(partial(self._reopen, tenancy))
        return closed

    def _reopen(self, tenancy: Tenancy) -> None:
        self.reopen(tenancy)
        self._on_reopened()

    def reopen(self, tenancy: Tenancy) -> None:
        """Look again at the records of a tenancy in which nothing could begin beyond an offset."""
        closed = self._closed.pop(tenancy, None)
        if closed is not None:
            self._behind -= closed.count()
            self._ready.extend(closed.ready)
            self._stretches.extendleft(reversed(closed.stretches))

    def take_all(self) -> list[Parcel]:
        """Remove what waits, and return it, later records of a tenancy before earlier ones."""
        left = [*self._ready, *self._stretches]
        for closed in self._closed.values():
            left += [*closed.ready, *closed.stretches]
        for home in self._homes.values():
            left += [each for waiting in home.values() if waiting for each in waiting]
        self.drop(list(self._homes))
        parcels = [
            each.as_parcel() if isinstance(each, Job) else each.parcel.rest()
            for each in left
            # A job that was to begin again may have been given back already.
            if (not each.is_settled if isinstance(each, Job) else len(each))
        ]
        return sorted(parcels, key=lambda parcel: parcel.offset, reverse=True)

    def drop(self, tenancies: Collection[Tenancy]) -> list[Job]:
        """Forget what waits of these tenancies. Jobs that were taken go on.

        Return those that were ready, among which are jobs that were to begin again.
        """
        gone = set(tenancies)
        dropped = [job for job in self._ready if isinstance(job, Job) and job.tenancy in gone]
        self._stretches = deque(each for each in self._stretches if each.tenancy not in gone)
        self._ready = deque(each for each in self._ready if each.tenancy not in gone)
        for tenancy in gone:
            self._closed.pop(tenancy, None)
            home = self._homes.pop(tenancy, {})
            if self._order == "key":
                tenancy.behind -= sum(len(each) for each in home.values() if each)
            home.clear()
        waiting = (each for home in self._homes.values() for each in home.values() if each)
        self._behind = sum(map(_count, waiting)) + sum(
            closed.count() for closed in self._closed.values()
        )
        return dropped


@define
class Closed:
    """The records that wait in a tenancy in which nothing may begin beyond a certain offset."""

    ready: list[Job | Stretch] = field(factory=list[Job | Stretch])
    stretches: list[Stretch] = field(factory=list[Stretch])

    def count(self) -> int:
        """Return the number of records."""
        return _count(self.ready) + _count(self.stretches)


def _count(waiting: Iterable[Job | Stretch]) -> int:
    return sum(1 if isinstance(each, Job) else len(each) for each in waiting)
