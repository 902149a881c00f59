"""The records of one type on their way to the loops that share them."""

from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from sdml_kafka.consuming.ledger import Chunk, Tenancy
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.runtime.wait_queue import WaitQueue
from sdml_kafka.transport.fetched_record import RecordColumns
from sdml_kafka.transport.interfaces.records import Record

MAX_PARSED_AHEAD = 500
"""Parsed records that wait in a queue. Few, since a record that is parsed long before it is read
has left the processor's caches by then; the rest waits unparsed."""


@define(eq=False)
class Parcel:
    """Records of one chunk, which its readers take one by one."""

    chunk: Chunk
    values: Sequence[object]
    """What the records were parsed to; if the reader has to parse, what `parse` takes."""
    indices: Sequence[int]
    """The place of each record in the chunk."""
    records: Sequence[Record]
    spec: CompiledSpec | None = None
    """What the reader parses to; None if everything was parsed before."""
    sharers: tuple["TypedQueue", ...] = ()
    """The queues of one type that these records went to."""
    parse: Callable[[Any], object] | None = None
    """How the reader parses what it takes of `values`; None if the values are ready."""
    next: int = field(default=0, init=False)
    """The place of the next record to take."""
    end: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.end = len(self.values)

    def record(self, at: int) -> Record:
        """Return a record; if they are columns yet, all are made, since more will be asked for."""
        if isinstance(self.records, RecordColumns):
            self.records = list(self.records)
        return self.records[at]

    @property
    def offset(self) -> int:
        """The offset of the next record."""
        return self.chunk.offsets[self.indices[self.next]]

    def rest(self) -> "Parcel":
        """Return a parcel of the records that were not taken."""
        return Parcel(
            self.chunk,
            self.values[self.next :],
            self.indices[self.next :],
            self.records[self.next :],
            self.spec,
            self.sharers,
            self.parse,
        )

    def some(self, places: Sequence[int]) -> "Parcel":
        """Return a parcel of the records at these places."""
        return Parcel(
            self.chunk,
            [self.values[at] for at in places],
            [self.indices[at] for at in places],
            [self.record(at) for at in places],
            self.spec,
            self.sharers,
            self.parse,
        )

    def keys(self) -> Sequence[bytes | None]:
        """Return the key of each record; empty if none has one.

        No record is made of what are columns yet.
        """
        records = self.records
        if isinstance(records, RecordColumns):
            return records.keys or ()
        return [record.key for record in records]


class TypedQueue:
    """The parsed records of one type that wait, shared by its readers.

    It is bounded by the dispatcher, which asks for room before it puts something in. Whoever finds
    no room is remembered until the dispatcher has been called; nobody else can clear that.
    """

    def __init__(
        self,
        type_: object,
        max_bytes: float,
        on_room: Callable[[], None],
        pass_on: Callable[["TypedQueue"], None],
    ) -> None:
        """Begin empty.

        Args:
            type_: The type that the streams of this queue subscribed to.
            max_bytes: The bytes of records with which the queue has no more room.
            on_room: Called when records found no room and the queue has been read empty since.
            pass_on: Called when records wait here that no stream will read.
        """
        self.type = type_
        self.maxsizes: list[int] = []
        """The bound of each open stream; 0 is no bound."""
        self.closed: bool = False
        self.error: Exception | None = None
        self.reserved = 0
        """The number of records that are being parsed for this queue."""
        self._max_bytes = max_bytes
        self._on_room = on_room
        self._pass_on = pass_on
        self.is_abandoned: bool = False
        """Whether the last stream of a queue of its own has closed."""
        self._parcels: deque[Parcel] = deque()
        self._refused: set[Tenancy] = set()
        self._waiting = WaitQueue()
        self._takers: list[Callable[[Collection[Tenancy]], None]] = []

    @contextmanager
    def taken_from(self, on_withdrawn: Callable[[Collection[Tenancy]], None]) -> Generator[None]:
        """Let somebody take parcels as a whole, who withdraws from these in `on_withdrawn`."""
        self._takers.append(on_withdrawn)
        try:
            yield
        finally:
            self._takers.remove(on_withdrawn)

    @property
    def each(self) -> "tuple[TypedQueue, ...]":
        """The queue itself, as the one that records come from."""
        return (self,)

    def __len__(self) -> int:
        return sum(parcel.end - parcel.next for parcel in self._parcels)

    def room_for(self, tenancy: Tenancy) -> int:
        """Return how many more records fit; if none do, `on_room` will be called."""
        bound = MAX_PARSED_AHEAD
        if self.maxsizes and 0 not in self.maxsizes:
            bound = min(bound, max(self.maxsizes))
        room = bound - len(self) - self.reserved
        if room <= 0 or self._waiting_bytes() >= self._max_bytes:
            self._refused.add(tenancy)
            return 0
        self._refused.discard(tenancy)
        return room

    def _waiting_bytes(self) -> int:
        return sum(parcel.chunk.size for parcel in self._parcels if parcel.next < parcel.end)

    def put(self, parcel: Parcel) -> None:
        """Let the next readers take these records."""
        if self.closed:
            return  # the dispatcher runs on a little: a loop must not go on behind a gap
        self._parcels.append(parcel)
        self._waiting.wake(parcel.end - parcel.next)
        if self.is_abandoned:
            self._pass_on(self)

    def head(self) -> Parcel | None:
        """Return the parcel that has the next record, None if no record waits."""
        parcels = self._parcels
        while parcels and parcels[0].next >= parcels[0].end:
            parcels.popleft()
        return parcels[0] if parcels else None

    def take_parcel(self) -> Parcel | None:
        """Remove the first parcel and return it with the records that wait; None if none wait."""
        parcel = self.head()
        if parcel is not None:
            self._parcels.popleft()
            if self._refused:
                self._refused.clear()
                self._on_room()
        return parcel

    def give_back(self, parcel: Parcel, at: int) -> None:
        """Hand a record out again that was taken and not finished, as the next one."""
        chunk = parcel.chunk
        chunk.give_back()
        if chunk.tenancy.open and not chunk.tenancy.withdrawn and not self.closed:
            one = slice(at, at + 1)
            self.put_back(
                Parcel(
                    chunk,
                    parcel.values[one],
                    parcel.indices[one],
                    parcel.records[one],
                    parcel.spec,
                    parcel.sharers,
                    parcel.parse,
                )
            )
            if self.is_abandoned:
                self._pass_on(self)

    def put_back(self, parcel: Parcel) -> None:
        """Put records in front of those that wait, in the order of their offsets."""
        self._parcels.insert(self._place_of(parcel), parcel)
        self._waiting.wake(parcel.end - parcel.next)

    def _place_of(self, back: Parcel) -> int:
        """Return 0, or the place after earlier records of the partition that came back too."""
        place = 0
        for number, parcel in enumerate(self._parcels, start=1):
            if parcel.next < parcel.end and parcel.chunk.tenancy is back.chunk.tenancy:
                if parcel.offset > back.offset:
                    break
                place = number
        return place

    def withdraw(self, tenancies: Collection[Tenancy]) -> None:
        """Take back what waits of these tenancies."""
        gone = set(tenancies)
        for taker in self._takers:
            taker(tenancies)
        self._refused -= gone
        for parcel in self._parcels:
            if parcel.chunk.tenancy in gone:
                parcel.next = parcel.end  # also for a reader that is in the middle of it

    def take_all(self) -> list[Parcel]:
        """Remove everything that waits, and return it."""
        parcels = [parcel.rest() for parcel in self._parcels]
        for parcel in self._parcels:
            parcel.next = parcel.end
        self._parcels.clear()
        return parcels

    def abandon(self) -> None:
        """Pass on what waits, and whatever comes in later: the last stream has closed."""
        self.is_abandoned = True
        self._pass_on(self)

    def close(self, error: Exception | None = None) -> None:
        """Hand out nothing more: loops end quietly, or with `error`."""
        self.closed = True
        self.error = error
        self.take_all()
        self.wake_all()

    async def wait(self) -> None:
        """Wait until a record may be there, or until `wake_all`."""
        if self._refused:
            self._refused.clear()
            self._on_room()
        await self._waiting.wait()

    def wake_all(self) -> None:
        """Let every reader that waits look again."""
        self._waiting.wake_all()
