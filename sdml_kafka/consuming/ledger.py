"""The offset ledger: what was delivered, what has finished, and so what may be committed.

Pure. One owner; plain synchronous calls. A partition that is assigned again is a new tenancy
with an epoch of its own; what finishes in a past tenancy is counted and moves nothing.
"""

from collections import deque
from collections.abc import Callable, Sequence

from attrs import define, field

NEVER = 1 << 62


@define(eq=False)
class Chunk:
    """Consecutive records of one tenancy that were delivered together.

    `left[i]` is how many of its destinations have yet to finish record i, at most 255.
    """

    tenancy: "Tenancy"
    offsets: Sequence[int]
    next_offset: int
    left: bytearray
    delivered_at: float
    unfinished: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.unfinished = len(self.left) - self.left.count(0)

    def give_back(self) -> None:
        """A record that was taken is not finished and nobody has it in hand any more."""
        tenancy = self.tenancy
        tenancy.returned += 1
        if tenancy.watch is not None:
            tenancy.watch()

    def finish(self, index: int) -> None:
        """One destination of record `index` is done with it."""
        if self.left[index] == 1 and self.tenancy.open and self.tenancy.watch is None:
            # As below, in one call: it is by far the most frequent.
            self.left[index] = 0
            self.tenancy.returned += 1
            self.unfinished -= 1
            self.tenancy.ledger.count_finished(1)
            if self.unfinished == 0:
                self.tenancy.fold(self)
        else:
            self.finish_run((index,))

    def finish_run(self, indices: Sequence[int]) -> None:
        """One destination of these records is done with them; fast for a `range`."""
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
        if tenancy.watch is not None:
            tenancy.watch()

    def _count_down(self, indices: Sequence[int]) -> int:
        """How many of them have no destination left."""
        left, count = self.left, len(indices)
        if isinstance(indices, range) and left.count(1, indices.start, indices.stop) == count:
            left[indices.start : indices.stop] = bytes(count)
            return count
        ended = 0
        for index in indices:
            left[index] -= 1
            ended += left[index] == 0
        return ended

    def frontier(self) -> int:
        """The offset of the first unfinished record here; `next_offset` when there is none."""
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
    open: bool = field(default=True, init=False)
    taken: int = field(default=0, init=False)
    returned: int = field(default=0, init=False)
    """What users took in hand so far, and what of it they finished or gave back."""
    withdrawn: bool = field(default=False, init=False)
    """Being taken away: nothing more is handed out, what is in hand may still finish."""
    watch: "Callable[[], None] | None" = field(default=None, init=False)
    """Called after each finish while somebody waits for `in_flight` or `in_hand` to fall."""
    _chunks: deque[Chunk] = field(factory=deque[Chunk], init=False)
    _settled: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._settled = self.start

    def deliver(self, offsets: Sequence[int], left: Sequence[int], now: float) -> Chunk:
        """Enter records that go out now, in offset order.

        `left` says for each how many destinations have to finish it; 0 is finished already.
        """
        chunk = Chunk(self, offsets, offsets[-1] + 1, bytearray(left), now)
        self.ledger.count_finished(len(left) - chunk.unfinished)
        self._chunks.append(chunk)
        if chunk.unfinished == 0:
            self.fold(chunk)
        return chunk

    def fold(self, chunk: Chunk) -> None:
        """Forget a chunk that is all finished, so that memory follows what is unfinished,
        however far ahead of the frontier the finishes run."""
        if chunk is self._chunks[0]:
            while self._chunks and self._chunks[0].unfinished == 0:
                self._settled = self._chunks.popleft().next_offset
            return
        at = self._chunks.index(chunk)
        self._chunks[at - 1].next_offset = chunk.next_offset
        del self._chunks[at]

    @property
    def in_flight(self) -> int:
        """Records delivered and not finished."""
        return sum(chunk.unfinished for chunk in self._chunks)

    @property
    def in_hand(self) -> int:
        return self.taken - self.returned

    def frontier(self) -> int:
        """Every record below this offset has finished: what may be committed."""
        return self._chunks[0].frontier() if self._chunks else self._settled

    def frontier_since(self) -> float | None:
        """When the lowest unfinished record was delivered; None when all have finished."""
        return self._chunks[0].delivered_at if self._chunks else None

    def position(self) -> int:
        """The offset after the last record delivered."""
        return self._chunks[-1].next_offset if self._chunks else self._settled

    def chunk_count(self) -> int:
        return len(self._chunks)


@define(eq=False)
class Ledger:
    """The open tenancies of one consumer, and the counts over all of them."""

    tenancies: dict[tuple[str, int], Tenancy] = field(
        factory=dict[tuple[str, int], Tenancy], init=False
    )
    finished: int = field(default=0, init=False)
    """Records finished since the beginning, over all tenancies."""
    late_finishes: int = field(default=0, init=False)
    _taken_before: int = field(default=0, init=False)
    notify_at: int = field(default=NEVER, init=False)
    """`notify` is called when `finished` gets there, once."""
    notify: Callable[[], None] = field(default=lambda: None, init=False)

    def open(
        self, topic: str, partition: int, epoch: int, start: int, committed: int | None
    ) -> Tenancy:
        """Begin a tenancy; one of the same partition that is still open ends with it."""
        self.close(topic, partition)
        tenancy = Tenancy(self, topic, partition, epoch, start, committed)
        self.tenancies[topic, partition] = tenancy
        return tenancy

    def close(self, topic: str, partition: int) -> None:
        """End a tenancy: whatever of it finishes from now on is late."""
        tenancy = self.tenancies.pop((topic, partition), None)
        if tenancy is not None:
            self._taken_before += tenancy.taken
            tenancy.open = False
            tenancy.watch = None

    def delivered(self) -> int:
        """How often a record was put into a user's hands, over all tenancies."""
        return self._taken_before + sum(t.taken for t in self.tenancies.values())

    def count_finished(self, count: int) -> None:
        self.finished += count
        if self.finished >= self.notify_at:
            self.notify_at = NEVER
            self.notify()

    def committable(self) -> dict[tuple[str, int], tuple[int, int]]:
        """What a commit would move: {(topic, partition): (epoch, offset)}; never backwards."""
        return {
            key: (tenancy.epoch, frontier)
            for key, tenancy in self.tenancies.items()
            if (frontier := tenancy.frontier())
            > (-1 if tenancy.committed is None else tenancy.committed)
        }

    def committed(self, topic: str, partition: int, epoch: int, offset: int) -> None:
        """A commit went through."""
        tenancy = self.tenancies.get((topic, partition))
        if tenancy is not None and tenancy.epoch == epoch:
            tenancy.committed = max(offset, tenancy.committed or 0)
