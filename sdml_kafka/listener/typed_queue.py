"""The records of one type on their way to the loops that share them."""

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.dropped import Dropped
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.runtime.wait_queue import WaitQueue
from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.interfaces.records import Record

MAX_PARSED_AHEAD = 500
"""Parsed records that wait in a queue. Few, since a record that is parsed long before it is read
has left the processor's caches by then; the rest waits unparsed."""
MAX_UNPARSED = 500
"""Records of a partition that wait in a queue if its readers parse."""
TURN = 64
"""Records that a processor takes of a partition before the next one has its turn."""


@define(eq=False)
class Parcel:
    """Records of one chunk, which its readers take one by one."""

    chunk: Chunk[Tenancy]
    values: Sequence[object]
    """The values of the records, parsed; if the reader has to parse, what `parse` takes."""
    indices: Sequence[int]
    """The place of each record in the chunk."""
    records: Sequence[Record]
    spec: CompiledSpec | None = None
    """The spec that the reader parses by; None if everything was parsed before."""
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

    def split(self, count: int) -> "Parcel":
        """Return the next `count` records as a parcel of their own, and go on behind them.

        It has the same records, since copies of them would be dear.
        """
        part = Parcel(
            self.chunk,
            self.values,
            self.indices,
            self.records,
            self.spec,
            self.sharers,
            self.parse,
        )
        part.next, self.next = self.next, self.next + count
        part.end = self.next
        return part

    def rest(self) -> "Parcel":
        """Return a parcel of the records that were not taken."""
        return self.part(self.next, self.end)

    def part(self, begin: int, end: int) -> "Parcel":
        """Return a parcel of the records from one place to before another."""
        return Parcel(
            self.chunk,
            self.values[begin:end],
            self.indices[begin:end],
            self.records[begin:end],
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
        """Return the key of each record that waits, in its place; empty if none has one.

        No record is made of what are columns yet.
        """
        records = self.records
        if isinstance(records, RecordColumns):
            return records.keys or ()
        waiting = records[self.next : self.end]
        return [None] * self.next + [record.key for record in waiting]


class TypedQueue:
    """The parsed records of one type that wait, shared by its readers.

    The partitions take turns: their records stand in a line for each, and none waits behind all
    that another one has. A reader that has taken a run goes on with the next partition, a processor
    after `TURN` records. A partition of which nothing waits here has room though the queue is full.

    It is bounded by the dispatcher, which asks for room before it puts something in. Whoever finds
    no room is remembered until the dispatcher has been called; nobody else can clear that.

    At any call of a function the garbage collector may come, and `put_back` what a program has
    dropped. So what was looked at before a call may be another thing after it.
    """

    def __init__(
        self,
        type_: object,
        max_bytes: float,
        on_room: Callable[[], None],
        pass_on: Callable[["TypedQueue"], None],
        dropped: Dropped,
    ) -> None:
        """Begin empty.

        Args:
            type_: The type that the streams of this queue subscribed to.
            max_bytes: The bytes of a partition's records with which it has no more room.
            on_room: Called when records found no room and what waited has been read since.
            pass_on: Called when records wait here that no stream will read.
            dropped: Gives back deliveries that the program drops.
        """
        self.type: object = type_
        self.dropped: Dropped = dropped
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
        """True if the last stream of a queue of its own has closed."""
        self._lines: dict[Tenancy, deque[Parcel]] = {}
        """The parcels of each partition, in the order of their offsets."""
        self._turns: deque[Tenancy] = deque()
        """The partitions that have a line; the first one's turn it is."""
        self._taken_in_turn: int = 0
        """The number of records that a processor has taken of the partition whose turn it is."""
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
    def is_processed(self) -> bool:
        """True if processors alone take from the queue."""
        return 0 < len(self._takers) == len(self.maxsizes)

    @property
    def each(self) -> "tuple[TypedQueue, ...]":
        """The queue itself, as the one that records come from."""
        return (self,)

    def __len__(self) -> int:
        return sum(map(_count, list(self._lines.values())))

    def room_for(self, tenancy: Tenancy, *, is_parsed: bool, may_take_long: bool = False) -> int:
        """Return how many more records of a partition fit; if none do, `on_room` will be called.

        `is_parsed` says whether the values are ready before they wait, and `may_take_long` whether
        a parser may wait before it returns them.
        """
        line = list(self._lines.get(tenancy, ()))
        waiting = _count(line)
        if self.maxsizes and 0 not in self.maxsizes:
            bound = min(MAX_PARSED_AHEAD, max(self.maxsizes))
            room = bound - len(self) - self.reserved
            if may_take_long:  # so that there is some left for other partitions meanwhile
                room = (room + 1) // 2
        elif is_parsed:
            room = MAX_PARSED_AHEAD - len(self) - self.reserved
            if not waiting:
                room = max(room, TURN)
        else:
            room = MAX_UNPARSED - waiting
        if room <= 0 or sum(p.chunk.size for p in line if p.next < p.end) >= self._max_bytes:
            self._refused.add(tenancy)
            return 0
        self._refused.discard(tenancy)
        return room

    def put(self, parcel: Parcel) -> None:
        """Let the next readers take these records."""
        if self.closed:
            return  # the dispatcher runs on a little: a loop must not go on behind a gap
        self._line(parcel.chunk.tenancy).append(parcel)
        self._waiting.wake(parcel.end - parcel.next)
        if self.is_abandoned:
            self._pass_on(self)

    def _line(self, tenancy: Tenancy) -> deque[Parcel]:
        """Return the line of a partition, at the end of the turns if it is a new one."""
        line = self._lines.get(tenancy)
        if line is None:
            line = self._lines.setdefault(tenancy, deque())
            if tenancy not in self._turns:
                self._turns.append(tenancy)
        return line

    def _first_line(self) -> deque[Parcel] | None:
        """Return the line of the partition whose turn it is, None if no record waits."""
        turns = self._turns
        while turns:
            line = self._lines[tenancy := turns[0]]
            while line and line[0].next >= line[0].end:
                line.popleft()
            if line:
                return line
            self._end_line(tenancy)
        return None

    def _end_line(self, tenancy: Tenancy) -> None:
        """Forget the line of a partition, unless something waits there after all."""
        if self._lines[tenancy]:
            return
        del self._lines[tenancy]
        self._turns.remove(tenancy)
        self._taken_in_turn = 0
        if self._refused and (tenancy in self._refused or not self._turns):
            self._refused.clear()
            self._on_room()

    def head(self) -> Parcel | None:
        """Return the parcel that has the next record, None if no record waits.

        Another partition has the next turn.
        """
        line = self._first_line()
        if line is None:
            return None
        if len(self._turns) > 1:
            self._turns.rotate(-1)
        return line[0]

    def take_parcel(self, turn: int = TURN) -> Parcel | None:
        """Remove the next records and return them; None if none wait.

        `turn` is the number of records of a partition after which it is the next one's turn.
        """
        line = self._first_line()
        if line is None:
            return None
        most = max(1, turn - self._taken_in_turn)
        parcel = line[0]
        count = parcel.end - parcel.next
        if count > most:
            count, parcel = most, parcel.split(most)
        else:
            line.popleft()
        if not line:
            self._end_line(parcel.chunk.tenancy)  # which asks for more, while these are handled
        elif count < most:
            self._taken_in_turn += count
        else:
            self._taken_in_turn = 0
            self._turns.rotate(-1)
        return parcel

    def give_back(self, parcel: Parcel, at: int) -> None:
        """Hand a record out again that was taken and not finished, as the next one."""
        chunk = parcel.chunk
        chunk.give_back()
        if chunk.tenancy.open and not chunk.tenancy.withdrawn and not self.closed:
            self.put_back(parcel.part(at, at + 1))
            if self.is_abandoned:
                self._pass_on(self)

    def put_back(self, parcel: Parcel) -> None:
        """Put records in front of those that wait, in the order of their offsets."""
        tenancy = parcel.chunk.tenancy
        line = self._line(tenancy)
        line.insert(_place_of(parcel, list(line)), parcel)
        turns = self._turns
        if tenancy in turns:
            turns.remove(tenancy)
        if tenancy not in turns:
            turns.appendleft(tenancy)
        self._waiting.wake(parcel.end - parcel.next)

    def withdraw(self, tenancies: Collection[Tenancy]) -> None:
        """Take back what waits of these tenancies."""
        gone = set(tenancies)
        for taker in self._takers:
            taker(tenancies)
        self._refused -= gone
        for tenancy in gone & self._lines.keys():
            for parcel in self._lines.pop(tenancy):
                parcel.next = parcel.end  # also for a reader that is in the middle of it
            if tenancy == self._turns[0]:
                self._taken_in_turn = 0
            self._turns.remove(tenancy)
        if self._refused:
            self._refused.clear()  # there may be room now, and a loop may take long to come back
            self._on_room()

    def take_all(self) -> list[Parcel]:
        """Remove everything that waits, and return it."""
        parcels = [parcel for line in self._lines.values() for parcel in line]
        rests = [parcel.rest() for parcel in parcels]
        for parcel in parcels:
            parcel.next = parcel.end
        self._lines.clear()
        self._turns.clear()
        return rests

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


def _count(parcels: Iterable[Parcel]) -> int:
    return sum(parcel.end - parcel.next for parcel in list(parcels))


def _place_of(back: Parcel, line: Iterable[Parcel]) -> int:
    """Return 0, or the place after earlier records of the partition that came back too."""
    place = 0
    for number, parcel in enumerate(line, start=1):
        if parcel.next < parcel.end:
            if parcel.offset > back.offset:
                break
            place = number
    return place
