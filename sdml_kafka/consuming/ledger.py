"""The offset ledger: what was delivered, what has finished, and so what may be committed.

How this works. A *tenancy* is one stay of a partition with this consumer. Whatever is delivered
goes in as a *chunk*: consecutive records with one byte each, the number of destinations that have
yet to finish the record. A byte that falls to 0 is a finished record, a chunk without other bytes
is a finished chunk. The chunks of a tenancy stand in offset order. A finished chunk at the front
is dropped and moves the *frontier*, the offset below which everything has finished, to its end. A
finished chunk behind an unfinished one is merged into that one's end. So memory follows what is
unfinished, and the frontier is always the first byte of the first chunk that is not 0. Behind the
last record that was fetched there may be offsets without a record that is delivered, such as
transaction markers: the *gap*. The frontier steps over it when all before it has finished. A chunk
holds the bytes of its records until it has finished, or until it is counted again.

Rules for whoever edits this file:

- It is pure and has one owner: plain synchronous calls, no await, no clock, no client.
- Nothing of a past tenancy moves a present one. A partition that is assigned again is a new
  tenancy with a new epoch; a record of the past one that finishes is counted as late.
- `Chunk.finish` and `finish_run` are hot, with up to a million records a second: whoever waits for
  finishes sets `Tenancy.is_watched`, which they look at, and costs nothing while nobody waits.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import compress

from attrs import define, field

from sdml_kafka.consuming.byte_budget import ByteBudget, HeldBytes

NEVER = 1 << 62
"""A number of finished records that is never reached."""


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
    open: bool = field(default=True, init=False)
    taken: int = field(default=0, init=False)
    """The number of records that users have taken in hand so far."""
    returned: int = field(default=0, init=False)
    """The number of records taken in hand that users have finished or given back."""
    withdrawn: bool = field(default=False, init=False)
    """Whether the partition is being revoked: nothing more is handed out, while records in hand
    may still finish."""
    is_watched: bool = field(default=False, init=False)
    """Whether somebody waits for records to finish."""
    _low: tuple[int, Callable[[], None]] | None = field(default=None, init=False)
    _on_drained: list[Callable[[], None]] = field(factory=list[Callable[[], None]], init=False)
    _chunks: deque[Chunk] = field(factory=deque[Chunk], init=False)
    _settled: int = field(init=False)
    _gap: tuple[int, int] = field(default=(-1, -1), init=False)
    """The offset behind the last record that was fetched, and the client's own position, if that
    lies further on."""

    def __attrs_post_init__(self) -> None:
        self._settled = self.start

    def deliver(
        self, offsets: Sequence[int], left: Sequence[int], now: float, sizes: Sequence[int] = ()
    ) -> Chunk:
        """Enter records that go out now, in offset order, and return their chunk.

        `left` has for each record the number of destinations that have to finish it. A record
        with 0 is finished already. `sizes` has the bytes of each record, which are held already.
        """
        chunk = Chunk(self, offsets, offsets[-1] + 1, bytearray(left), now, sizes)
        self.ledger.count_finished(len(left) - chunk.unfinished)
        self._chunks.append(chunk)
        if chunk.unfinished == 0:
            self.fold(chunk)
        return chunk

    def fold(self, chunk: Chunk) -> None:
        """Forget a finished chunk, so that memory follows what is unfinished.

        Records may finish any distance ahead of the frontier.
        """
        if chunk is self._chunks[0]:
            while self._chunks and self._chunks[0].unfinished == 0:
                self._settled = self._chunks.popleft().next_offset
        else:
            at = self._chunks.index(chunk)
            self._chunks[at - 1].next_offset = chunk.next_offset
            del self._chunks[at]
        self.held.release(chunk.size)

    def recount(self) -> None:
        """Release the bytes of all records that have finished, in chunks that have not, too."""
        for chunk in self._chunks:
            chunk.recount()

    def skip(self, fetched_to: int, position: int) -> None:
        """Note that no record is to come between these two offsets.

        `fetched_to` lies behind the last record that was fetched, delivered or not.
        """
        self._gap = (fetched_to, position)

    # -- waiting for finishes ------------------------------------------------------------

    def call_when_low(self, low: int, callback: Callable[[], None]) -> None:
        """Call `callback` once `low` records or fewer are in flight.

        It is called once, and not after the tenancy has ended. A later request takes the place of
        an earlier one, so there may be one user of this alone: the dispatcher.
        """
        self._low = (low, callback)
        self.is_watched = True

    def call_when_drained(self, callback: Callable[[], None]) -> None:
        """Call `callback` once nobody has a record in hand, also after the tenancy has ended."""
        self._on_drained.append(callback)
        self.is_watched = True

    def call_watchers(self) -> None:
        """Call whoever waits for what is true now."""
        if self._low is not None and self.in_flight <= self._low[0]:
            callback, self._low = self._low[1], None
            callback()
        if self._on_drained and self.in_hand <= 0:
            callbacks, self._on_drained = self._on_drained, []
            for callback in callbacks:
                callback()
        self.is_watched = self._low is not None or bool(self._on_drained)

    def end(self) -> None:
        """Count whatever finishes from now on as late, and nothing as held."""
        self.open = False
        self.held.release(self.held.count)
        self.held = HeldBytes(ByteBudget())
        self._low = None
        self.is_watched = bool(self._on_drained)

    # -- figures -------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """The number of records delivered and not finished."""
        return sum(chunk.unfinished for chunk in self._chunks)

    @property
    def in_hand(self) -> int:
        """The number of records that users have taken and neither finished nor given back."""
        return self.taken - self.returned

    def frontier(self) -> int:
        """Return the offset below which every record has finished: what may be committed."""
        return self._past_gap(self._chunks[0].frontier() if self._chunks else self._settled)

    def frontier_since(self) -> float | None:
        """Return when the lowest unfinished record was delivered, None if all have finished."""
        return self._chunks[0].delivered_at if self._chunks else None

    def position(self) -> int:
        """Return the offset at which delivering goes on."""
        return self._past_gap(self.delivered_to())

    def delivered_to(self) -> int:
        """Return the offset after the last record delivered."""
        return self._chunks[-1].next_offset if self._chunks else self._settled

    def _past_gap(self, offset: int) -> int:
        return self._gap[1] if offset == self._gap[0] else offset

    def chunk_count(self) -> int:
        """Return the number of chunks that are remembered."""
        return len(self._chunks)


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
        self, topic: str, partition: int, epoch: int, start: int, committed: int | None
    ) -> Tenancy:
        """Begin a tenancy; a tenancy of the same partition that is still open ends.

        What the group has committed beyond `start` counts as nothing: that log is gone.
        """
        self.close(topic, partition)
        if committed is not None and committed > start:
            committed = None
        held = HeldBytes(self.budget)
        tenancy = Tenancy(self, topic, partition, epoch, start, committed, held)
        self.tenancies[topic, partition] = tenancy
        return tenancy

    def close(self, topic: str, partition: int) -> None:
        """End a partition's tenancy, if it has one."""
        tenancy = self.tenancies.pop((topic, partition), None)
        if tenancy is not None:
            self._taken_before += tenancy.taken
            tenancy.end()

    def delivered(self) -> int:
        """Return how often a record was put into a user's hands, over all tenancies."""
        return self._taken_before + sum(t.taken for t in self.tenancies.values())

    def notify_when(self, finished: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, when so many records have finished. For the commit scheduler."""
        self.notify_at, self._notify = finished, callback

    def count_finished(self, count: int) -> None:
        """Add to the number of finished records."""
        self.finished += count
        if self.finished >= self.notify_at:
            self.notify_at = NEVER
            self._notify()

    def committable(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Return what a commit would move forward: {(topic, partition): (epoch, offset)}."""
        return {
            key: (tenancy.epoch, frontier)
            for key, tenancy in self.tenancies.items()
            if (frontier := tenancy.frontier())
            > (-1 if tenancy.committed is None else tenancy.committed)
        }

    def committed(self, topic: str, partition: int, epoch: int, offset: int) -> None:
        """Note that a commit went through."""
        tenancy = self.tenancies.get((topic, partition))
        if tenancy is not None and tenancy.epoch == epoch and offset <= tenancy.frontier():
            # An offset beyond the frontier is of the log that was there before.
            tenancy.committed = max(offset, tenancy.committed or 0)
