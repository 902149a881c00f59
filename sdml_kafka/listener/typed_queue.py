"""The records of one type on their way to the loops that share them."""

from collections import deque
from collections.abc import Callable, Collection, Sequence

import anyio
from attrs import define, field

from sdml_kafka.consuming.ledger import Chunk, Tenancy
from sdml_kafka.transport.interfaces import Record

AHEAD = 500
"""Parsed records that wait in a queue at most. Few, since what is parsed long before it is read
has left the processor's caches by then; the rest waits unparsed."""


@define(eq=False)
class Parcel:
    """Parsed records of one chunk. Its readers take them one by one: `next` is whose turn it is."""

    chunk: Chunk
    values: Sequence[object]
    indices: Sequence[int]
    """Where each is in the chunk."""
    records: Sequence[Record]
    next: int = field(default=0, init=False)
    end: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.end = len(self.values)

    @property
    def offset(self) -> int:
        """Of the next record."""
        return self.chunk.offsets[self.indices[self.next]]


class TypedQueue:
    """Bounded by who fills it: the dispatcher asks for `room` first. Shared by its readers."""

    def __init__(self, type_: object, on_room: Callable[[], None]) -> None:
        self.type = type_
        self.maxsizes: list[int] = []
        """One for each open stream; 0 is without a bound of its own."""
        self.closed: bool = False
        self.error: Exception | None = None
        self._parcels: deque[Parcel] = deque()
        self.reserved = 0
        """Records that are being parsed for it."""
        self.on_orphan: Callable[[], None] | None = None
        """Set when its last stream has closed: called for what comes in after that."""
        self._on_room = on_room
        self._blocked = False
        self._waiters: deque[anyio.Event] = deque()

    def __len__(self) -> int:
        return sum(parcel.end - parcel.next for parcel in self._parcels)

    def room(self) -> int:
        """How many more fit. At 0 the dispatcher is called when it is empty."""
        most = AHEAD
        if self.maxsizes and 0 not in self.maxsizes:
            most = min(most, max(self.maxsizes))
        room = most - len(self) - self.reserved
        self._blocked = room <= 0
        return max(0, room)

    def put(self, parcel: Parcel) -> None:
        if self.closed:
            return  # the dispatcher runs on a little: a loop must not go on behind a gap
        self._parcels.append(parcel)
        self._wake(parcel.end - parcel.next)
        if self.on_orphan is not None:
            self.on_orphan()

    def head(self) -> Parcel | None:
        """The parcel that has the next record; None when there is none."""
        parcels = self._parcels
        while parcels and parcels[0].next >= parcels[0].end:
            parcels.popleft()
        return parcels[0] if parcels else None

    def give_back(self, parcel: Parcel, at: int) -> None:
        """A record that was taken and not finished: it is the next one to be handed out."""
        chunk = parcel.chunk
        chunk.give_back()
        if chunk.tenancy.open and not chunk.tenancy.withdrawn and not self.closed:
            one = slice(at, at + 1)
            self.put_back(
                Parcel(chunk, parcel.values[one], parcel.indices[one], parcel.records[one])
            )
            if self.on_orphan is not None:
                self.on_orphan()

    def put_back(self, parcel: Parcel) -> None:
        self._parcels.insert(self._place_of(parcel), parcel)
        self._wake(parcel.end - parcel.next)

    def _place_of(self, back: Parcel) -> int:
        """First, but after those of its partition that came back already and come before it."""
        place = 0
        for number, parcel in enumerate(self._parcels, start=1):
            if parcel.next < parcel.end and parcel.chunk.tenancy is back.chunk.tenancy:
                if parcel.offset > back.offset:
                    break
                place = number
        return place

    def withdraw(self, tenancies: Collection[Tenancy]) -> None:
        """Take back what waits of these tenancies."""
        for parcel in self._parcels:
            if parcel.chunk.tenancy in tenancies:
                parcel.next = parcel.end  # also for a reader that is in the middle of it

    def take_all(self) -> list[Parcel]:
        """Empty it: what waited, each record with nobody's turn."""
        parcels = [
            Parcel(
                parcel.chunk,
                parcel.values[parcel.next :],
                parcel.indices[parcel.next :],
                parcel.records[parcel.next :],
            )
            for parcel in self._parcels
        ]
        for parcel in self._parcels:
            parcel.next = parcel.end
        self._parcels.clear()
        return parcels

    def close(self, error: Exception | None = None) -> None:
        """Hand out nothing more: loops end quietly, or with `error`."""
        self.closed = True
        self.error = error
        self.take_all()
        self.wake_all()

    async def wait(self) -> None:
        """Until there may be a record, or `wake_all`."""
        if self._blocked:
            self._blocked = False
            self._on_room()
        event = anyio.Event()
        self._waiters.append(event)
        try:
            await event.wait()
        except BaseException:  # cancelled
            if event.is_set():  # it was our turn: let somebody else have it
                self._wake(1)
            else:
                self._waiters.remove(event)
            raise

    def wake_all(self) -> None:
        self._wake(len(self._waiters))

    def _wake(self, count: int) -> None:
        for _ in range(min(count, len(self._waiters))):
            self._waiters.popleft().set()
