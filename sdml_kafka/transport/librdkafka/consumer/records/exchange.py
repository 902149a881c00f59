"""Hold what was fetched for the program, and the poll that waits for it.

How this works. The owner thread puts in what librdkafka hands over, and the program's polls take it
out, both under one lock and without waiting. A poll that finds nothing asks librdkafka itself while
the thread rests, which it does as long as much comes. So a poll that finds something crosses no
threads. One that finds nothing at all leaves a waiter, which the thread wakes once there is
something for it, or its time is over. A partition whose records nobody asks for keeps them here, up
to a bound (`fetching.py`).
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic

from attrs import define, evolve, field

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.runtime.waiter import Waiter, wake
from sdml_kafka.transport.fetched.columns import RecordColumns, joined
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Health, Jump, Polled
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop

MAX_TRIES = 4
"""The number of times that a poll takes records before it waits for some that it asks for."""


@define(eq=False)
class Fetched:
    """A partition that is read, and what was fetched of it that no poll has taken."""

    next: int
    """The offset that is read next behind what was fetched."""
    parts: deque[RecordColumns] = field(factory=deque[RecordColumns], init=False)
    """The records, in the order in which they came. Where the offsets of a part are lower than
    before, the log is another one."""
    count: int = field(default=0, init=False)
    moved: int | None = field(default=None, init=False)
    """The offset that is read next, if no record shows it."""
    seek: int = 0
    """The number of the seek that has moved it here, which a poll has to know of."""
    is_withheld: bool = field(default=False, init=False)
    """True if it is being revoked, or cannot be read on, so that no record goes out any more."""
    is_paused: bool = field(default=False, init=False)
    """True if librdkafka was asked to fetch nothing of it; the thread's."""

    def take(self, most: int) -> RecordColumns:
        """Remove the first records and return them, up to `most` of one log."""
        parts, taken, count = self.parts, list[RecordColumns](), 0
        while parts and count < most:
            part = parts[0]
            if taken and part.offsets[0] <= taken[-1].offsets[-1]:
                break
            if len(part) > most - count:
                first = part[: most - count]
                part.drop(most - count)
                part = first
            else:
                parts.popleft()
            taken.append(part)
            count += len(part)
        self.count -= count
        return joined(taken)


@define
class _Request:
    """The request of a poll."""

    ready: Collection[TopicPartition]
    most: int
    seeks: int
    deadline: float


class Exchange:
    """The partitions that are read, and the news for the program's polls."""

    def __init__(
        self, loop: ProgramLoop, take_now: Callable[[], bool], on_wait: Callable[[], object]
    ) -> None:
        """Begin without partitions.

        Args:
            loop: The program's loop.
            take_now: Puts in what librdkafka has, and returns whether it may have more. It is
                called in the program's thread.
            on_wait: Called when a poll begins to wait for what librdkafka has.
        """
        self.lock: threading.Lock = threading.Lock()
        """Held by whoever looks at the partitions or changes them."""
        self.partitions: dict[TopicPartition, Fetched] = {}
        self.read_to: dict[TopicPartition, int] = {}
        """The offset behind what polls have returned of each partition, also of past ones."""
        self.wanted: Collection[TopicPartition] = ()
        """The partitions that the last poll was ready for."""
        self.polled_at: float = monotonic()
        """When the last poll began, or found nothing."""
        self.is_full: bool = False
        """True if nothing is taken until polls ask for other partitions."""
        self._loop = loop
        self._take_now = take_now
        self._on_wait = on_wait
        self._assignments: deque[Assignment] = deque()
        self._announced: set[TopicPartition] = set()
        """The partitions whose assignment a poll has taken."""
        self._has_assigned = False
        """True if a poll has taken an assignment."""
        self._withheld: set[TopicPartition] = set()
        """The partitions that are being revoked, until they are closed. Their assignment may still
        be on its way from one thread to the other."""
        self._health: Health | None = None
        self._jumps: list[Jump] = []
        self._corrupt: list[Jump] = []
        self._failure: SdmlKafkaError | None = None
        self._waiter: Waiter | None = None
        self._request: _Request | None = None

    # -- the program's side --------------------------------------------------------------

    async def poll(
        self, ready: Collection[TopicPartition], most: int, timeout_s: float, seeks: int
    ) -> Polled:
        """Return what there is, at once or when there is something."""
        request = _Request(ready, most, seeks, monotonic() + timeout_s)
        self.wanted, self.polled_at = ready, monotonic()
        for _ in range(MAX_TRIES):
            if self._has_news(request) or not self._take_now():
                break
        with self.lock:
            if self._has_news(request) or timeout_s <= 0:
                return self._take(request)
            waiter = self._waiter = self._loop.new_waiter()
            self._request = request
        if not self.is_full:
            self._on_wait()
        try:
            await waiter
        finally:
            self._waiter = self._request = None
        with self.lock:
            self.polled_at = monotonic()
            return self._take(request)

    def nudge(self) -> None:
        """Let a poll that waits return."""
        if (waiter := self._waiter) is not None:
            wake(waiter)

    def _has_news(self, request: _Request) -> bool:
        if self._failure is not None or self._assignments or self._jumps or self._corrupt:
            return True
        partitions, seeks = self.partitions, request.seeks
        for key in request.ready:
            each = partitions.get(key)
            if each is None or each.is_withheld or each.seek > seeks:
                continue
            if each.count or each.moved is not None:
                return True
        return False

    def _take(self, request: _Request) -> Polled:
        if self._failure is not None:
            raise self._failure
        records: dict[TopicPartition, Sequence[Record]] = {}
        positions: dict[TopicPartition, int] = {}
        for key in request.ready:
            each = self.partitions.get(key)
            if each is None or each.is_withheld or each.seek > request.seeks:
                continue
            if each.count:
                records[key] = taken = each.take(request.most)
                self.read_to[key] = taken.offsets[-1] + 1
            if each.moved is not None and not each.count:
                positions[key] = self.read_to[key] = each.moved
                each.moved = None
        assignment = None
        if self._assignments:
            assignment = self._assignments.popleft()
            # The first one adds to nothing.
            assignment = evolve(assignment, adds=assignment.adds and self._has_assigned)
            self._has_assigned = True
            self._announced.update(assignment.positions)
        health, self._health = self._health, None
        jumps, self._jumps = self._jumps, []
        corrupt, self._corrupt = self._corrupt, []
        return Polled(records, assignment, health, positions, jumps, corrupt)

    # -- the thread's side ---------------------------------------------------------------

    def open(self, assignment: Assignment, health: Health) -> None:
        """Read the partitions of an assignment, which the next poll returns with the health."""
        with self.lock:
            for key, position in assignment.positions.items():
                self._begin(key, Fetched(position))
                self.read_to[key] = position
            self._assignments.append(self._left_of(assignment))
            self._health = health

    def _begin(self, key: TopicPartition, fetched: Fetched) -> None:
        fetched.is_withheld = key in self._withheld
        self.partitions[key] = fetched

    def _left_of(self, assignment: Assignment) -> Assignment:
        """Return an assignment without the partitions that are being revoked."""
        positions = assignment.positions
        left = {key: at for key, at in positions.items() if key not in self._withheld}
        committed = {key: assignment.committed[key] for key in left}
        return evolve(assignment, positions=left, committed=committed)

    def withhold(self, keys: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        """Hand out no record of these partitions any more, and return those the program knows of.

        The assignment of the others is taken back, also one that is still to be opened.
        """
        with self.lock:
            self._withheld.update(keys)
            for key in keys:
                if (each := self.partitions.get(key)) is not None:
                    each.is_withheld = True
                    each.parts.clear()
                    each.count, each.moved = 0, None
            # The first one says that the group has counted the member in, whatever is left of it.
            self._assignments = deque(
                left
                for each in self._assignments
                if (left := self._left_of(each)).positions
                or not (each.positions and self._has_assigned)
            )
            return self._announced.intersection(keys)  # type: ignore[return-value]

    def close(self, keys: Collection[TopicPartition]) -> None:
        """Forget these partitions."""
        with self.lock:
            for key in keys:
                self.partitions.pop(key, None)
                self._announced.discard(key)
                self._withheld.discard(key)

    def put(self, key: TopicPartition, records: RecordColumns) -> None:
        """Append records of a partition, one at least."""
        each = self.partitions[key]
        with self.lock:
            each.parts.append(records)
            each.count += len(records)
            each.moved = None
            each.next = records.offsets[-1] + 1

    def move(self, key: TopicPartition, position: int) -> None:
        """Note that a partition is read on at an offset that no record shows."""
        with self.lock:
            each = self.partitions[key]
            each.next = each.moved = position

    def sought(self, positions: Mapping[TopicPartition, int], number: int) -> None:
        """Note where partitions are read on, which is no news to whoever has asked for it."""
        with self.lock:
            for key, position in positions.items():
                self._begin(key, Fetched(position, number))

    def note_jumps(self, jumps: Sequence[Jump], corrupt: Sequence[Jump] = ()) -> None:
        """Report where reading goes on elsewhere than it should have."""
        with self.lock:
            self._jumps.extend(jumps)
            self._corrupt.extend(corrupt)

    def report(self, health: Health) -> None:
        """Let the next poll return the health."""
        self._health = health

    def fail(self, failure: SdmlKafkaError) -> None:
        """Let polls raise this from now on, unless they do raise something already."""
        with self.lock:
            self._failure = self._failure or failure
        self.wake()

    def wake(self) -> None:
        """Wake the poll that waits if there is something for it, or its time is over."""
        with self.lock:
            request, waiter = self._request, self._waiter
            if request is None or waiter is None or not self._is_due(request):
                return
            self._request = None
        self._loop.call_soon(lambda: wake(waiter))

    def may_wake(self) -> bool:
        """Return whether no poll waits that there is nothing for."""
        with self.lock:
            return self._request is None or self._is_due(self._request)

    def _is_due(self, request: _Request) -> bool:
        return self._has_news(request) or monotonic() >= request.deadline

    @property
    def is_waiting(self) -> bool:
        """True if a poll waits."""
        return self._request is not None
