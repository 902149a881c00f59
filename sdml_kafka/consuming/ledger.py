"""The offset ledger: what was delivered, what has finished, and so what may be committed.

How this works. A *tenancy* is one stay of a partition with this consumer. Whatever is delivered
goes in as a *chunk*: consecutive records with one byte each, the number of destinations that have
yet to finish the record. A byte that falls to 0 is a finished record, a chunk without other bytes
is a finished chunk. The chunks of a tenancy are linked in offset order. A finished chunk at the
front is dropped and moves the *frontier*, the offset below which everything has finished, to its
end. A finished chunk behind an unfinished one is merged into that one's end. So memory follows what
is unfinished, the frontier is always the first byte of the first chunk that is not 0, and every
offset that is delivered and not a byte above 0 has finished. Behind the last record that was
fetched there may be offsets without a record that is delivered, such as transaction markers: the
*gap*. The frontier steps over it when all before it has finished. A chunk holds the bytes of its
records until it has finished, or until it is counted again.

What has finished beyond the frontier goes into the *offset map* of a commit (`offset_map.py`). A
tenancy may begin with what such a map says: the frontier steps over that as well. A map that
becomes too long would be lost, so from `begins_below` on a record begins only after a look at how
long the map is (`may_begin`). Its cost follows the unfinished, so there is one look for every
`LOOK_EVERY` offsets at most, and none while what has finished is less than `ALWAYS_FITS` ahead.
A transaction commits what would be true *if* its records had finished (`progress_with`), and relies
on the map: with `must_fit` nothing begins at all further ahead than always fits.

Rules for whoever edits this file:

- It is pure and has one owner: plain synchronous calls, no await, no clock, no client.
- Nothing of a past tenancy moves a present one. A partition that is assigned again is a new
  tenancy with a new epoch; a record of the past one that finishes is counted as late.
- `Chunk.finish` and `finish_run` are hot, with up to a million records a second: whoever waits for
  finishes sets `Tenancy.is_watched`, which they look at, and costs nothing while nobody waits.
- What happens at a finish takes the same time however many chunks there are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from re import compile as pattern

from attrs import define, field, frozen

from sdml_kafka.consuming.byte_budget import ByteBudget, HeldBytes
from sdml_kafka.consuming.offset_map import (
    ALWAYS_FITS,
    FULL_TEXT,
    INTERVAL_TEXT,
    MAX_SPAN,
    MAX_TEXT,
    Interval,
    encode,
    merged,
    step_over,
)

NEVER = 1 << 62
"""A number of finished records that is never reached."""
LOOK_EVERY = (MAX_TEXT - FULL_TEXT) * 3 // 16
"""The offsets that are begun at least between two looks at how long the offset map is. An offset
lengthens a map by four bytes at most, so that what is left above `FULL_TEXT` takes as many."""

_UNFINISHED = pattern(rb"[^\0]+")


@define(eq=False)
class Chunk:
    """Consecutive records of one tenancy that were delivered together.

    `left[i]` is how many destinations have yet to finish record i, at most 255.
    """

    tenancy: "Tenancy"
    offsets: Sequence[int]
    next_offset: int
    left: bytearray
    delivered_at: float
    sizes: Sequence[int] = ()
    """The bytes of each record."""
    unfinished: int = field(init=False)
    size: int = field(init=False)
    """The bytes of the records that had not finished when they were counted last."""
    before: "Chunk | None" = field(default=None, init=False, repr=False)
    after: "Chunk | None" = field(default=None, init=False, repr=False)
    _counted: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.unfinished = len(self.left) - self.left.count(0)
        self.size = sum(self.sizes)
        self._counted = len(self.left)

    def give_back(self) -> None:
        """Note that a record that was taken in hand is in nobody's hands any more, unfinished."""
        tenancy = self.tenancy
        tenancy.returned += 1
        if tenancy.is_watched:
            tenancy.call_watchers()

    def finish(self, index: int) -> None:
        """Note that one destination of record `index` is done with it."""
        tenancy = self.tenancy
        if self.left[index] == 1 and tenancy.open and not tenancy.is_watched:
            # The same as below without further calls, since this is by far the most frequent.
            self.left[index] = 0
            tenancy.returned += 1
            tenancy.in_flight -= 1
            self.unfinished -= 1
            ledger = tenancy.ledger
            ledger.finished += 1
            if ledger.finished >= ledger.notify_at:
                ledger.count_finished(0)
            if self.unfinished == 0:
                tenancy.fold(self)
        else:
            self.finish_run((index,))

    def finish_run(self, indices: Sequence[int]) -> None:
        """Note that one destination of each of these records is done; fast for a `range`."""
        tenancy = self.tenancy
        tenancy.returned += len(indices)
        ended = self._count_down(indices)
        self.unfinished -= ended
        tenancy.in_flight -= ended
        if tenancy.open:
            tenancy.ledger.count_finished(ended)
            if ended and self.unfinished == 0:
                tenancy.fold(self)
        else:
            tenancy.ledger.late_finishes += ended
        if tenancy.is_watched:
            tenancy.call_watchers()

    def _count_down(self, indices: Sequence[int]) -> int:
        """Count one destination less for each record; return how many records have none left."""
        left, count = self.left, len(indices)
        if isinstance(indices, range) and left.count(1, indices.start, indices.stop) == count:
            left[indices.start : indices.stop] = bytes(count)
            return count
        ended = 0
        for index in indices:
            left[index] -= 1
            ended += left[index] == 0
        return ended

    def recount(self) -> None:
        """Release the bytes of records that have finished since this was called last."""
        if self.unfinished != self._counted:
            self._counted = self.unfinished
            size = sum(compress(self.sizes, self.left))
            self.tenancy.held.release(self.size - size)
            self.size = size

    def unfinished_offsets(self) -> Iterator[Interval]:
        """Return the offsets of the records that have not finished, in order."""
        for match in _UNFINISHED.finditer(self.left):
            start, end = match.span()
            first, last = self.offsets[start], self.offsets[end - 1]
            if last - first < end - start:
                yield first, last + 1
            else:
                yield from ((offset, offset + 1) for offset in self.offsets[start:end])

    def frontier(self) -> int:
        """Return the offset of the first unfinished record, `next_offset` if there is none."""
        if self.unfinished == 0:
            return self.next_offset
        return self.offsets[len(self.left) - len(self.left.lstrip(b"\0"))]


@define(eq=False)
class Tenancy:
    """One stay of a partition with this consumer: (topic, partition, epoch)."""

    ledger: "Ledger"
    topic: str
    partition: int
    epoch: int
    start: int
    committed: int | None
    held: HeldBytes
    """The bytes of its records that were fetched and have not finished."""
    known: Sequence[Interval] = ()
    """What had finished beyond the committed offset before this tenancy began."""
    keeps_map: bool = False
    """Whether what finishes beyond the frontier is committed as well."""
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
    """Whether the partition is being revoked: nothing more is handed out, while records in hand
    may still finish."""
    is_watched: bool = field(default=False, init=False)
    """Whether somebody waits for records to finish."""
    must_fit: bool = field(default=False, init=False)
    """True if transactions commit records of it, whose offset map has to say all of them."""
    in_doubt: bool = field(default=False, init=False)
    """True if nobody knows what a transaction has committed of it, so that nothing else may be."""
    begins_below: int = field(default=NEVER, init=False)
    """The offset from which on nothing may begin, since the offset map would be too long, or
    before another look at its length."""
    _committed_map: str = field(default="", init=False)
    _committed_mark: tuple[int, int] = field(init=False)
    _looks_from: int = field(default=0, init=False)
    """How far the frontier has to come before the length of a map that is full is looked at."""
    _in_order_below: int = field(default=0, init=False)
    """The offset up to which records begin at the frontier alone."""
    _on_room: list[Callable[[], None]] = field(factory=list[Callable[[], None]], init=False)
    _low: tuple[int, Callable[[], None]] | None = field(default=None, init=False)
    _on_drained: list[Callable[[], None]] = field(factory=list[Callable[[], None]], init=False)
    _first: Chunk | None = field(default=None, init=False)
    _last: Chunk | None = field(default=None, init=False)
    _settled: int = field(init=False)
    _gap: tuple[int, int] = field(default=(-1, -1), init=False)
    """The offset behind the last record that was fetched, and the client's own position, if that
    lies further on."""

    def __attrs_post_init__(self) -> None:
        self._settled = self.start
        self._committed_mark = self.start, 0
        if self.keeps_map:
            self.begins_below = self.start + ALWAYS_FITS
            self._committed_map = self._map(self.frontier())

    def deliver(
        self, offsets: Sequence[int], left: Sequence[int], now: float, sizes: Sequence[int] = ()
    ) -> Chunk:
        """Enter records that go out now, in offset order, and return their chunk.

        `left` has for each record the number of destinations that have to finish it. A record
        with 0 is finished already. `sizes` has the bytes of each record, which are held already.
        """
        chunk = Chunk(self, offsets, offsets[-1] + 1, bytearray(left), now, sizes)
        self.ledger.count_finished(len(left) - chunk.unfinished)
        self.in_flight += chunk.unfinished
        last = self._last
        if last is None:
            self._first = chunk
        else:
            last.after, chunk.before = chunk, last
        self._last = chunk
        if chunk.unfinished == 0:
            self.fold(chunk)
        return chunk

    def fold(self, chunk: Chunk) -> None:
        """Forget a finished chunk, so that memory follows what is unfinished.

        Records may finish any distance ahead of the frontier.
        """
        before, after = chunk.before, chunk.after
        chunk.before = chunk.after = None  # whoever still has this chunk must not keep the others
        if before is None:
            self._first, self._settled = after, chunk.next_offset
        else:
            before.after, before.next_offset = after, chunk.next_offset
        if after is None:
            self._last = before
        else:
            after.before = before
        self.held.release(chunk.size)

    def _chunks(self) -> Iterator[Chunk]:
        chunk = self._first
        while chunk is not None:
            yield chunk
            chunk = chunk.after

    def recount(self) -> None:
        """Release the bytes of all records that have finished, in chunks that have not, too."""
        for chunk in self._chunks():
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
        if self._on_room and self.frontier() >= self._looks_from and self._look(self.begins_below):
            callbacks, self._on_room = self._on_room, []
            for callback in callbacks:
                callback()
        self.is_watched = self._low is not None or bool(self._on_drained or self._on_room)

    def call_if_low(self) -> None:
        """Call whoever waits for few records in flight, if they are few now."""
        if self._low is not None and self.in_flight - self.behind <= self._low[0]:
            callback, self._low = self._low[1], None
            callback()

    def end(self) -> None:
        """Count whatever finishes from now on as late, and nothing as held."""
        self.open = False
        self.held.release(self.held.count)
        self.held = HeldBytes(ByteBudget())
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
        return self.keeps_map and self.frontier() >= self._looks_from and self._look(offset)

    def _look(self, offset: int) -> bool:
        """Return whether the record with this offset may begin, by the length of the offset map.

        Note from where on the next look is due.
        """
        frontier = self.frontier()
        self.begins_below, self._looks_from = frontier + ALWAYS_FITS, 0
        if self.must_fit and frontier < self._in_order_below:
            self.begins_below = frontier + 1
        if offset < self.begins_below or self.must_fit:
            return offset < self.begins_below
        most = INTERVAL_TEXT * self._count_intervals()
        if most <= FULL_TEXT and offset - frontier < MAX_SPAN // 2:
            # It is not full, whatever it looks like: to write it would take much longer.
            self.begins_below = offset + max(LOOK_EVERY, (FULL_TEXT - most) * 3 // 16)
            return True
        finished = self.finished_ahead()
        text = encode(frontier, finished)
        end = max(finished[-1][1] if finished else frontier, self.begins_below)
        if text is None or len(text) > FULL_TEXT:
            # While the same records as now are in front, the map gets no shorter.
            self.begins_below = end
            self._looks_from = min(finished[0][0], frontier + LOOK_EVERY)
            return offset < end
        more = max(LOOK_EVERY, (FULL_TEXT - len(text)) * 3 // 16)
        self.begins_below = max(end, offset) + more
        return True

    def begin_in_order(self) -> None:
        """Let records begin one after another until all that are delivered have finished.

        For a map that is too long for a transaction, because of what has finished before.
        """
        self._in_order_below = max([self.delivered_to(), *(end for _, end in self.known)])
        self.begins_below = self.frontier() + 1

    def _count_intervals(self) -> int:
        """Return how many intervals `finished_ahead` has, at most."""
        return len(self.known) + sum(
            chunk.unfinished if chunk.unfinished < 16 else len(_UNFINISHED.findall(chunk.left))
            for chunk in self._chunks()  # most have few, which are not worth a search
        )

    def finished_ahead(self) -> list[Interval]:
        """Return what has finished beyond the frontier, in order and apart from each other.

        Offsets between two records that no record has count as finished.
        """
        ahead = self._between(self._unfinished())
        if self.known:
            # What the frontier steps over from here is still needed for that.
            base, frontier = self._base(), self.frontier()
            self.known = [each for each in self.known if each[1] > base]
            ahead = sorted([*ahead, *(each for each in self.known if each[1] > frontier)])
        return merged(ahead)

    def _unfinished(self) -> Iterator[Interval]:
        """Return the offsets of the records that have not finished, in order."""
        for chunk in self._chunks():
            if chunk.unfinished == 1:  # as in most of many, so it has to be fast
                start = chunk.frontier()
                yield start, start + 1
            else:
                yield from chunk.unfinished_offsets()

    def _between(self, unfinished: Iterable[Interval]) -> list[Interval]:
        """Return the offsets that were delivered behind the first of these, and are not of them."""
        between: list[Interval] = []
        at: int | None = None
        for start, end in unfinished:
            if at is not None:
                between.append((at, start))
            at = end
        if at is not None:
            between.append((at, self.delivered_to()))
        return between

    def _map(self, frontier: int) -> str:
        """Return the offset map, empty if nothing has finished beyond the frontier, or too much."""
        if not self.keeps_map or not (self.in_flight or self.known):
            return ""
        return encode(frontier, self.finished_ahead()) or ""

    def progress(self) -> "Progress | None":
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

    def progress_with(self, offsets: Iterable[int]) -> "Progress | None":
        """Return what a commit would say if these records had finished as well.

        Each of them has one destination left. None if the offset map could not say it.
        """
        finished = sorted(offsets)
        unfinished = list(_without(self._unfinished(), finished))
        frontier = self._past_gap(unfinished[0][0] if unfinished else self.delivered_to())
        known = [each for each in self.known if each[1] > frontier]
        ahead = merged(sorted([*self._between(unfinished), *known]))
        text = encode(frontier, ahead) if self.keeps_map or not ahead else None
        if text is None:
            return None
        mark = self.delivered_to(), self.in_flight - len(finished)
        return Progress(self.epoch, frontier, text, mark)

    def note_committed(self, progress: "Progress") -> None:
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
        return self._past_gap(self._base())

    def _base(self) -> int:
        return self._settled if self._first is None else self._first.frontier()

    def frontier_since(self) -> float | None:
        """Return when the lowest unfinished record was delivered, None if all have finished."""
        return None if self._first is None else self._first.delivered_at

    def position(self) -> int:
        """Return the offset at which delivering goes on."""
        return self._past_gap(self.delivered_to())

    def delivered_to(self) -> int:
        """Return the offset after the last record delivered."""
        return self._settled if self._last is None else self._last.next_offset

    def _past_gap(self, offset: int) -> int:
        if offset == self._gap[0]:
            offset = self._gap[1]
        return step_over(offset, self.known) if self.known else offset

    def chunk_count(self) -> int:
        """Return the number of chunks that are remembered."""
        return sum(1 for _ in self._chunks())


def _without(intervals: Iterable[Interval], offsets: Sequence[int]) -> Iterator[Interval]:
    """Return intervals without some of the offsets in them, both in order."""
    at = 0
    for start, end in intervals:
        while at < len(offsets) and offsets[at] < end:
            if start < offsets[at]:
                yield start, offsets[at]
            start = offsets[at] + 1
            at += 1
        if start < end:
            yield start, end


@frozen
class Progress:
    """What a commit says of one partition."""

    epoch: int
    offset: int
    map: str
    """The offset map, empty if nothing has finished beyond the offset."""
    mark: tuple[int, int]
    """Where delivering goes on, and how many records are in flight. With the same offset neither
    stays as it is when a record finishes."""


@define(eq=False)
class Ledger:
    """The open tenancies of one consumer, and the counts over all of them."""

    budget: ByteBudget = field(factory=ByteBudget)
    tenancies: dict[tuple[str, int], Tenancy] = field(
        factory=dict[tuple[str, int], Tenancy], init=False
    )
    finished: int = field(default=0, init=False)
    """The number of records finished since the beginning, over all tenancies."""
    late_finishes: int = field(default=0, init=False)
    """The number of records finished after their tenancy had ended."""
    _taken_before: int = field(default=0, init=False)
    notify_at: int = field(default=NEVER, init=False)
    _notify: Callable[[], None] = field(default=lambda: None, init=False)

    def open(
        self,
        topic: str,
        partition: int,
        epoch: int,
        start: int,
        committed: int | None,
        known: Sequence[Interval] = (),
        *,
        keeps_map: bool = False,
    ) -> Tenancy:
        """Begin a tenancy; a tenancy of the same partition that is still open ends.

        What the group has committed beyond `start` counts as nothing: that log is gone.

        Args:
            topic: The topic.
            partition: The number of its partition.
            epoch: The number of the assignment.
            start: The offset that is read first.
            committed: What the group has committed, None if it has not.
            known: What has finished beyond that, in order and apart from each other.
            keeps_map: Whether what finishes beyond the frontier is to be committed as well.
        """
        self.close(topic, partition)
        if committed is not None and committed > start:
            committed, known = None, ()
        held = HeldBytes(self.budget)
        tenancy = Tenancy(
            self, topic, partition, epoch, start, committed, held, known, keeps_map=keeps_map
        )
        self.tenancies[topic, partition] = tenancy
        return tenancy

    def reopen(self, former: Tenancy) -> Tenancy:
        """Go on at the frontier of a tenancy, which ends, without what has finished beyond it."""
        anew = self.open(
            former.topic,
            former.partition,
            former.epoch,
            former.frontier(),
            former.committed,
            former.finished_ahead(),
            keeps_map=former.keeps_map,
        )
        anew.take_over_commit(former)
        return anew

    def close(self, topic: str, partition: int) -> None:
        """End a partition's tenancy, if it has one."""
        tenancy = self.tenancies.pop((topic, partition), None)
        if tenancy is not None:
            self._taken_before += tenancy.taken
            tenancy.end()

    def delivered(self) -> int:
        """Return how often a record was put into a user's hands, over all tenancies."""
        return self._taken_before + sum(t.taken for t in self.tenancies.values())

    def behind(self) -> int:
        """Return how many records wait for earlier ones of their keys, over all tenancies."""
        return sum(tenancy.behind for tenancy in self.tenancies.values())

    def notify_when(self, finished: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, when so many records have finished. For the commit scheduler."""
        self.notify_at, self._notify = finished, callback

    def count_finished(self, count: int) -> None:
        """Add to the number of finished records."""
        self.finished += count
        if self.finished >= self.notify_at:
            self.notify_at = NEVER
            self._notify()

    def committable(self) -> dict[tuple[str, int], Progress]:
        """Return what a commit would change, by topic and partition."""
        return {
            key: progress
            for key, tenancy in self.tenancies.items()
            if (progress := tenancy.progress()) is not None
        }

    def still_open(
        self, moves: Mapping[tuple[str, int], Progress]
    ) -> dict[tuple[str, int], Progress]:
        """Return what belongs to tenancies that have not ended."""
        return {
            key: progress
            for key, progress in moves.items()
            if key in self.tenancies and self.tenancies[key].epoch == progress.epoch
        }

    def committed(self, topic: str, partition: int, progress: Progress) -> None:
        """Note that a commit went through."""
        tenancy = self.tenancies.get((topic, partition))
        if tenancy is not None and tenancy.epoch == progress.epoch:
            tenancy.note_committed(progress)
