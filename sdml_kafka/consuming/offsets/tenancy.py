"""One stay of a partition with this consumer: its records, and what a commit says of it. Pure.

How this works. The *chunks* of a tenancy (`chunks.py`) know what was delivered and has not
finished, and so the *frontier*. Behind the last record that was fetched there may be offsets
without a record that is delivered, such as transaction markers: the *gap*. The frontier steps over
it when all before it has finished.

What has finished beyond the frontier goes into the *offset map* of a commit (`offset_map.py`). A
tenancy may begin with what such a map says: the frontier steps over that as well. Which records may
begin while the map is long is for `map_limit.py` to say. A transaction commits what would be true
*if* its records had finished (`progress_with`), and relies on the map.

Whoever edits this file keeps what is read for each record (`begins_below`, `is_watched`, counts) an
attribute of the tenancy itself: a step more would be taken a million times a second.
"""

from collections.abc import Callable, Iterable, Sequence

from attrs import define, field, frozen

from sdml_kafka.consuming.byte_budget import ByteBudget, HeldBytes
from sdml_kafka.consuming.offsets.chunks import Chunk, Chunks
from sdml_kafka.consuming.offsets.finishes import NEVER, Finishes
from sdml_kafka.consuming.offsets.map_limit import MapLimit
from sdml_kafka.consuming.offsets.offset_map import (
    ALWAYS_FITS,
    Interval,
    encode,
    merged,
    step_over,
    without,
)


@frozen
class Progress:
    """One partition's part of a commit."""

    epoch: int
    offset: int
    map: str
    """The offset map, empty if nothing has finished beyond the offset."""
    mark: tuple[int, int]
    """Where delivering goes on, and how many records are in flight. With the same offset neither
    stays as it is when a record finishes."""


@define(eq=False)
class Tenancy:
    """One stay of a partition with this consumer: (topic, partition, epoch)."""

    finishes: Finishes
    """Counts the records that finish, over all tenancies."""
    topic: str
    partition: int
    epoch: int
    start: int
    committed: int | None
    held: HeldBytes
    """The bytes of its records that were fetched and have not finished."""
    known: Sequence[Interval] = ()
    """The offsets beyond the committed one that had finished before this tenancy began."""
    keeps_map: bool = False
    """True if what finishes beyond the frontier is committed as well."""
    open: bool = field(default=True, init=False)
    in_flight: int = field(default=0, init=False)
    """The number of records delivered and not finished."""
    behind: int = field(default=0, init=False)
    """The number of records in flight that wait for an earlier record of their own key."""
    taken: int = field(default=0, init=False)
    """The number of records that users have taken in hand so far."""
    returned: int = field(default=0, init=False)
    """The number of records taken in hand that users have finished or given back."""
    withdrawn: bool = field(default=False, init=False)
    """True if the partition is being revoked: nothing more is handed out, while records in hand
    may still finish."""
    is_watched: bool = field(default=False, init=False)
    """True if somebody waits for records to finish."""
    must_fit: bool = field(default=False, init=False)
    """True if transactions commit records of it, whose offset map has to say all of them."""
    in_doubt: bool = field(default=False, init=False)
    """True if nobody knows what a transaction has committed of it, so that nothing else may be."""
    begins_below: int = field(default=NEVER, init=False)
    """The offset from which on nothing may begin, since the offset map would be too long, or
    before another look at its length."""
    chunks: "Chunks[Tenancy]" = field(init=False)
    _limit: MapLimit = field(factory=MapLimit, init=False)
    _committed_map: str = field(default="", init=False)
    _committed_mark: tuple[int, int] = field(init=False)
    _on_room: list[Callable[[], None]] = field(factory=list[Callable[[], None]], init=False)
    _low: tuple[int, Callable[[], None]] | None = field(default=None, init=False)
    _on_drained: list[Callable[[], None]] = field(factory=list[Callable[[], None]], init=False)
    _gap: tuple[int, int] = field(default=(-1, -1), init=False)
    """The offset behind the last record that was fetched, and the client's own position, if that
    lies further on."""

    def __attrs_post_init__(self) -> None:
        self.chunks = Chunks(self.start)
        self._committed_mark = self.start, 0
        if self.keeps_map:
            self.begins_below = self.start + ALWAYS_FITS
            self._committed_map = self._map(self.frontier())

    def deliver(
        self, offsets: Sequence[int], left: Sequence[int], now: float, sizes: Sequence[int] = ()
    ) -> "Chunk[Tenancy]":
        """Enter records that go out now, in offset order, and return their chunk.

        `left` has for each record the number of destinations that have to finish it. A record
        with 0 is finished already. `sizes` has the bytes of each record, which are held already.
        """
        chunk: Chunk[Tenancy] = Chunk(self, offsets, offsets[-1] + 1, bytearray(left), now, sizes)
        self.finishes.add(len(left) - chunk.unfinished)
        self.in_flight += chunk.unfinished
        self.chunks.append(chunk)
        return chunk

    def recount(self) -> None:
        """Release the bytes of all records that have finished, in chunks that have not, too."""
        for chunk in self.chunks:
            chunk.recount()

    def skip(self, fetched_to: int, position: int) -> None:
        """Note that no record is to come between these two offsets.

        `fetched_to` lies behind the last record that was fetched, delivered or not.
        """
        self._gap = (fetched_to, position)

    # -- waiting for finishes ------------------------------------------------------------

    def call_when_low(self, low: int, callback: Callable[[], None]) -> None:
        """Call `callback` once `low` records or fewer are in flight, those aside that are `behind`.

        It is called once, and not after the tenancy has ended. A later request takes the place of
        an earlier one, so there may be one user of this alone: the dispatcher.
        """
        self._low = (low, callback)
        self.is_watched = True

    def call_when_drained(self, callback: Callable[[], None]) -> None:
        """Call `callback` once nobody has a record in hand, also after the tenancy has ended."""
        self._on_drained.append(callback)
        self.is_watched = True

    def call_when_more_may_begin(self, callback: Callable[[], None]) -> None:
        """Call `callback` once records may begin that `may_begin` has refused."""
        self._on_room.append(callback)
        self.is_watched = True

    def call_watchers(self) -> None:
        """Call whoever waits for what is true now."""
        self.call_if_low()
        if self._on_drained and self.in_hand <= 0:
            callbacks, self._on_drained = self._on_drained, []
            for callback in callbacks:
                callback()
        may_look = self._on_room and self.frontier() >= self._limit.looks_from
        if may_look and self._look(self.begins_below):
            callbacks, self._on_room = self._on_room, []
            for callback in callbacks:
                callback()
        self.is_watched = self._low is not None or bool(self._on_drained or self._on_room)

    def call_if_low(self) -> None:
        """Call whoever waits for few records in flight, if they are few now."""
        if self._low is not None and self.in_flight - self.behind <= self._low[0]:
            callback, self._low = self._low[1], None
            callback()

    def end(self, *, is_moved: bool) -> None:
        """Count nothing as held from now on, and what finishes as late, unless it is moved."""
        if (on_finished := self.finishes.on_finished) is not None:
            for chunk in self.chunks:
                if chunk.unfinished < len(chunk.left):
                    on_finished(chunk)
        self.open = False
        self.held.release(self.held.count)
        self.held = HeldBytes(ByteBudget())
        if is_moved:
            self.finishes = Finishes()  # which nobody reads
        self._low = None
        self._on_room.clear()
        self.is_watched = bool(self._on_drained)

    # -- what has finished beyond the frontier -------------------------------------------

    def may_begin(self, offset: int) -> bool:
        """Return whether the record with this offset may go into a handler's hands now.

        A record beyond all that has finished may not while the offset map is nearly as long as a
        broker takes it: whatever is in hand by then lengthens it still.
        """
        if offset < self.begins_below:
            return True
        return self.keeps_map and self.frontier() >= self._limit.looks_from and self._look(offset)

    def _look(self, offset: int) -> bool:
        self.begins_below = self._limit.look(offset, self)
        return offset < self.begins_below

    def begin_in_order(self) -> None:
        """Let records begin one after another until all that are delivered have finished.

        For a map that is too long for a transaction, because of what has finished before.
        """
        self._limit.begin_in_order(max([self.delivered_to(), *(end for _, end in self.known)]))
        self.begins_below = self.frontier() + 1

    def count_intervals(self) -> int:
        """Return how many intervals `finished_ahead` has, at most."""
        return len(self.known) + self.chunks.count_unfinished()

    def finished_ahead(self) -> list[Interval]:
        """Return what has finished beyond the frontier, in order and apart from each other.

        Offsets between two records that no record has count as finished.
        """
        ahead = self.chunks.between(self.chunks.unfinished())
        if self.known:
            # What the frontier steps over from here is still needed for that.
            base, frontier = self.chunks.frontier(), self.frontier()
            self.known = [each for each in self.known if each[1] > base]
            ahead = sorted([*ahead, *(each for each in self.known if each[1] > frontier)])
        return merged(ahead)

    # -- commits -------------------------------------------------------------------------

    def _map(self, frontier: int) -> str:
        """Return the offset map, empty if nothing has finished beyond the frontier, or too much."""
        if not self.keeps_map or not (self.in_flight or self.known):
            return ""
        return encode(frontier, self.finished_ahead()) or ""

    def progress(self) -> Progress | None:
        """Return what a commit would say now, None if it would be what is committed.

        None as well while nobody knows what is committed.
        """
        if self.in_doubt:
            return None
        frontier, mark = self.frontier(), (self.delivered_to(), self.in_flight)
        has_moved = self.committed is None or frontier > self.committed
        if not has_moved and (not self.keeps_map or mark == self._committed_mark):
            return None
        text = self._map(frontier)
        if not has_moved and text == self._committed_map:
            return None
        return Progress(self.epoch, frontier, text, mark)

    def progress_with(self, offsets: Iterable[int]) -> Progress | None:
        """Return what a commit would say if these records had finished as well.

        Each of them has one destination left. None if the offset map could not say it.
        """
        finished = sorted(offsets)
        unfinished = list(without(self.chunks.unfinished(), finished))
        frontier = self._past_gap(unfinished[0][0] if unfinished else self.delivered_to())
        known = [each for each in self.known if each[1] > frontier]
        ahead = merged(sorted([*self.chunks.between(unfinished), *known]))
        text = encode(frontier, ahead) if self.keeps_map or not ahead else None
        if text is None:
            return None
        mark = self.delivered_to(), self.in_flight - len(finished)
        return Progress(self.epoch, frontier, text, mark)

    def note_committed(self, progress: Progress) -> None:
        """Note that a commit went through."""
        if progress.offset > self.frontier():
            return  # it is of the log that was there before
        if self.committed is None or progress.offset >= self.committed:
            self.committed = progress.offset
            self._committed_map, self._committed_mark = progress.map, progress.mark

    def take_over_commit(self, former: "Tenancy") -> None:
        """Note that nothing but what the former tenancy has committed is committed."""
        self._committed_map, self._committed_mark = former._committed_map, (-1, -1)
        self.in_doubt = former.in_doubt

    # -- figures -------------------------------------------------------------------------

    @property
    def in_hand(self) -> int:
        """The number of records that users have taken and neither finished nor given back."""
        return self.taken - self.returned

    def frontier(self) -> int:
        """Return the offset below which every record has finished: what may be committed."""
        return self._past_gap(self.chunks.frontier())

    def frontier_since(self) -> float | None:
        """Return when the lowest unfinished record was delivered, None if all have finished."""
        return self.chunks.frontier_since()

    def position(self) -> int:
        """Return the offset at which delivering goes on."""
        return self._past_gap(self.delivered_to())

    def delivered_to(self) -> int:
        """Return the offset after the last record delivered."""
        return self.chunks.delivered_to()

    def _past_gap(self, offset: int) -> int:
        if offset == self._gap[0]:
            offset = self._gap[1]
        return step_over(offset, self.known) if self.known else offset

    def chunk_count(self) -> int:
        """Return the number of chunks that are remembered."""
        return sum(1 for _ in self.chunks)
