"""Which record may begin next: one after another in each lane, the lanes side by side. Pure.

How this works. A *lane* is what keeps an order: the records of a partition, or those of a key of a
partition. A lane is busy from the moment when its record is taken until that is freed. What comes
for a busy lane waits in it, and the first that waits is ready once the lane is free. A lane that is
not busy is not remembered, so memory follows the records that wait, not the keys that were seen.

Parcels are kept as they come, and looked through only as far as somebody takes records. As long as
lanes are free a record costs two steps in a dictionary.

Rules for whoever edits this file:

- No await, no clock, no client. Whoever takes a job frees it, come what may.
- Of a tenancy that was dropped nothing is left here. A job of it that was taken before may still be
  freed, which frees nothing of the tenancy that comes after.
"""

from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Literal

from attrs import define, field

from sdml_kafka.consuming.ledger import Tenancy
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.policies import Order
from sdml_kafka.listener.typed_queue import Parcel

NullKey = Literal["free", "partition"]
"""Whether records without a key are free of order, or in order with each other."""

Home = dict[object, "deque[Job] | None"]
"""The busy lanes of one tenancy by their keys, each with what waits in it."""


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
        self._null_key_is_free = null_key == "free"
        self._parcels: deque[tuple[Parcel, Home]] = deque()
        self._ready: deque[Job] = deque()
        self._homes: dict[Tenancy, Home] = {}
        self._closed: dict[Tenancy, Closed] = {}
        self._coming: int = 0
        """The number of records in `_parcels` and `_ready`."""
        self._behind: int = 0
        """The number of records that wait in busy lanes, or in closed tenancies."""

    @property
    def queued(self) -> int:
        """The number of records that wait here."""
        return self._coming + self._behind

    @property
    def busy(self) -> int:
        """The number of lanes that are busy."""
        return sum(map(len, self._homes.values()))

    def startable(self, most: int) -> int:
        """Return how many records may begin, counted up to `most`; some may prove to wait."""
        return min(most, self._coming)

    def add(self, parcel: Parcel, now: float = 0.0) -> None:
        """Let the records of a parcel wait, from its next one on."""
        home = self._homes.setdefault(parcel.chunk.tenancy, {})
        self._parcels.append((parcel, home))
        self._coming += parcel.end - parcel.next

    def take(self, now: float = 0.0) -> Job | None:
        """Return the next record that may begin, None if none may. Its lane is busy from now on."""
        while self._ready:
            job = self._ready.popleft()
            self._coming -= 1
            tenancy = job.tenancy
            if tenancy.may_begin(job.offset):
                return job
            self._behind += 1
            self._closed_of(tenancy).jobs.append(job)
        while self._parcels:
            parcel, home = self._parcels[0]
            if parcel.next >= parcel.end:
                self._parcels.popleft()
            elif self._is_closed(parcel):
                self._close(parcel, home)
            elif (begun := self._begin(parcel, home)) is not None:
                return begun
        return None

    def _begin(self, parcel: Parcel, home: Home) -> Job | None:
        """Take the next record of a parcel; return None if it has to wait in its lane."""
        at = parcel.next
        job = Job(parcel, at, home)
        parcel.next = at + 1
        self._coming -= 1
        if self._order == "key":
            job.key = parcel.key(at)
            if job.key is None and self._null_key_is_free:
                job.home = None
                return job
        elif self._order == "none":
            job.home = None
            return job
        if job.key not in home:
            home[job.key] = None
            return job
        job.keep_alone()
        self._behind += 1
        waiting = home[job.key]
        if waiting is None:
            home[job.key] = deque((job,))
        else:
            waiting.append(job)
        return None

    def free(self, job: Job, now: float = 0.0) -> None:
        """Let the next record of a job's lane begin."""
        home = job.home
        if home is None:
            return
        waiting = home.pop(job.key, None)
        if waiting:
            self._ready.append(waiting.popleft())
            self._behind -= 1
            self._coming += 1
            home[job.key] = waiting or None

    def repeat(self, job: Job) -> None:
        """Let a job that was taken, and whose lane is still busy, begin again."""
        self._ready.append(job)
        self._coming += 1

    def _is_closed(self, parcel: Parcel) -> bool:
        tenancy = parcel.chunk.tenancy
        if tenancy.may_begin(parcel.offset):
            # What was put aside goes first, even if it could begin by now.
            return bool(self._closed) and tenancy in self._closed
        return True

    def _close(self, parcel: Parcel, home: Home) -> None:
        self._parcels.popleft()
        self._coming -= parcel.end - parcel.next
        self._behind += parcel.end - parcel.next
        self._closed_of(parcel.chunk.tenancy).parcels.append((parcel, home))

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
            self._ready.extend(closed.jobs)
            self._parcels.extendleft(reversed(closed.parcels))
            self._coming += closed.count()
            self._behind -= closed.count()

    def take_all(self) -> list[Parcel]:
        """Remove what waits, and return it, later records of a tenancy before earlier ones."""
        jobs = [*self._ready]
        parcels = [parcel for parcel, _ in self._parcels]
        for closed in self._closed.values():
            jobs += closed.jobs
            parcels += [parcel for parcel, _ in closed.parcels]
        for home in self._homes.values():
            jobs += [job for waiting in home.values() if waiting for job in waiting]
        self.drop(list(self._homes))
        left = [parcel.rest() for parcel in parcels if parcel.next < parcel.end]
        left += [job.as_parcel() for job in jobs]
        return sorted(left, key=lambda parcel: parcel.offset, reverse=True)

    def drop(self, tenancies: Collection[Tenancy]) -> list[Job]:
        """Forget what waits of these tenancies. Jobs that were taken go on.

        Return those that were ready, among which are jobs that were to begin again.
        """
        gone = set(tenancies)
        dropped = [job for job in self._ready if job.tenancy in gone]
        self._parcels = deque(each for each in self._parcels if each[0].chunk.tenancy not in gone)
        self._ready = deque(job for job in self._ready if job.tenancy not in gone)
        self._coming = len(self._ready) + sum(each.end - each.next for each, _ in self._parcels)
        for tenancy in gone:
            self._closed.pop(tenancy, None)
            self._homes.pop(tenancy, {}).clear()
        waiting = (each for home in self._homes.values() for each in home.values() if each)
        self._behind = sum(map(len, waiting)) + sum(
            closed.count() for closed in self._closed.values()
        )
        return dropped


@define
class Closed:
    """What waits in a tenancy in which nothing may begin beyond a certain offset."""

    jobs: list[Job] = field(factory=list[Job])
    parcels: list[tuple[Parcel, Home]] = field(factory=list[tuple[Parcel, Home]])

    def count(self) -> int:
        """Return the number of records."""
        return len(self.jobs) + sum(each.end - each.next for each, _ in self.parcels)
