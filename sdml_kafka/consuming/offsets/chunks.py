"""The records of one tenancy that were delivered and have not finished, in chunks. Pure.

How this works. Whatever is delivered goes in as a *chunk*: consecutive records with one byte each,
the number of destinations that have yet to finish the record. A byte that falls to 0 is a finished
record, a chunk without other bytes is a finished chunk. The chunks of a tenancy are linked in
offset order. A finished chunk at the front is dropped and moves the *frontier*, the offset below
which everything has finished, to its end. A finished chunk behind an unfinished one is merged into
that one's end. So memory follows what is unfinished, the frontier is always the first byte of the
first chunk that is not 0, and every offset that is delivered and not a byte above 0 has finished. A
chunk holds the bytes of its records until it has finished, or until it is counted again.

Rules for whoever edits this file:

- `Chunk.finish` and `finish_run` are hot, with up to a million records a second: whoever waits for
  finishes sets `is_watched`, which they look at, and costs nothing while nobody waits.
- What happens at a finish takes the same time however many chunks there are.
- `frontier`, `frontier_since` and `delivered_to` are read by other threads too, for `status()`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from re import compile as pattern
from typing import Any, Protocol

from attrs import define, field

from sdml_kafka.consuming.byte_budget import HeldBytes
from sdml_kafka.consuming.offsets.finishes import Finishes
from sdml_kafka.consuming.offsets.offset_map import Interval

_UNFINISHED = pattern(rb"[^\0]+")


class Owner(Protocol):
    """The part of a tenancy that a chunk of its records has to know."""

    topic: str
    partition: int
    open: bool
    is_watched: bool
    in_flight: int
    returned: int
    held: HeldBytes

    @property
    def finishes(self) -> Finishes: ...

    @property
    def chunks(self) -> "Chunks[Any]": ...

    def call_watchers(self) -> None: ...


@define(eq=False)
class Chunk[T: Owner]:
    """Consecutive records of one tenancy that were delivered together.

    `left[i]` is how many destinations have yet to finish record i, at most 255.
    """

    tenancy: T
    offsets: Sequence[int]
    next_offset: int
    left: bytearray
    delivered_at: float
    sizes: Sequence[int] = ()
    """The bytes of each record."""
    unfinished: int = field(init=False)
    size: int = field(init=False)
    """The bytes of the records that had not finished when they were counted last."""
    before: "Chunk[T] | None" = field(default=None, init=False, repr=False)
    after: "Chunk[T] | None" = field(default=None, init=False, repr=False)
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
            finishes = tenancy.finishes
            finishes.count += 1
            if finishes.count >= finishes.notify_at:
                finishes.add(0)
            if self.unfinished == 0:
                tenancy.chunks.fold(self)
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
            tenancy.finishes.add(ended)
            if ended and self.unfinished == 0:
                tenancy.chunks.fold(self)
        else:
            tenancy.finishes.late += ended
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
        left = self.left
        first = len(left) - len(left.lstrip(b"\0"))
        # Another thread may ask when the last byte is 0 already, and `unfinished` is not yet.
        return self.offsets[first] if first < len(left) else self.next_offset


class Chunks[T: Owner]:
    """The chunks of one tenancy that have not finished, in offset order."""

    def __init__(self, start: int) -> None:
        self._first: Chunk[T] | None = None
        self._last: Chunk[T] | None = None
        self._settled = start
        """The offset below which everything has finished, if no chunk is left."""

    def __iter__(self) -> Iterator[Chunk[T]]:
        chunk = self._first
        while chunk is not None:
            yield chunk
            chunk = chunk.after

    def append(self, chunk: Chunk[T]) -> None:
        """Add a chunk of what was delivered behind the others."""
        last = self._last
        if last is None:
            self._first = chunk
        else:
            last.after, chunk.before = chunk, last
        self._last = chunk
        if chunk.unfinished == 0:
            self.fold(chunk)

    def fold(self, chunk: Chunk[T]) -> None:
        """Forget a finished chunk, so that memory follows what is unfinished.

        Records may finish any distance ahead of the frontier.
        """
        if (on_finished := chunk.tenancy.finishes.on_finished) is not None:
            on_finished(chunk)
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
        chunk.tenancy.held.release(chunk.size)

    def frontier(self) -> int:
        """Return the offset below which every record that was delivered has finished."""
        first = self._first
        return self._settled if first is None else first.frontier()

    def frontier_since(self) -> float | None:
        """Return when the lowest unfinished record was delivered, None if all have finished."""
        first = self._first
        return None if first is None else first.delivered_at

    def delivered_to(self) -> int:
        """Return the offset after the last record delivered."""
        last = self._last
        return self._settled if last is None else last.next_offset

    def unfinished(self) -> Iterator[Interval]:
        """Return the offsets of the records that have not finished, in order."""
        for chunk in self:
            if chunk.unfinished == 1:  # as in most of many, so it has to be fast
                start = chunk.frontier()
                yield start, start + 1
            else:
                yield from chunk.unfinished_offsets()

    def count_unfinished(self) -> int:
        """Return how many intervals `unfinished` has, at most."""
        return sum(
            chunk.unfinished if chunk.unfinished < 16 else len(_UNFINISHED.findall(chunk.left))
            for chunk in self  # most have few, which are not worth a search
        )

    def between(self, unfinished: Iterable[Interval]) -> list[Interval]:
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
