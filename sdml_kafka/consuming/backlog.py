"""The records of a partition that wait to be dispatched, oldest first."""

from collections import deque
from collections.abc import Sequence
from itertools import chain

from sdml_kafka.transport.fetched.columns import RecordColumns, joined
from sdml_kafka.transport.fetched.parts import offset_at
from sdml_kafka.transport.interfaces.records import Record


class Backlog:
    """Keeps the batches of several polls; records that came as columns wait as columns."""

    def __init__(self) -> None:
        """Begin empty."""
        self._batches: deque[RecordColumns | list[Record]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, batch: Sequence[Record]) -> None:
        """Put in records that follow those that wait; columns are taken over."""
        if batch:
            own = batch if type(batch) is RecordColumns else list(batch)
            self._batches.append(own)
            self._count += len(own)

    def first(self, count: int) -> Sequence[Record]:
        """Return the first `count` records, which stay in the backlog."""
        batches = iter(self._batches)
        parts = [next(batches)[:count]]
        while (count := count - len(parts[-1])) > 0:
            parts.append(next(batches)[:count])
        if len(parts) == 1:
            return parts[0]
        columns = [part for part in parts if type(part) is RecordColumns]
        return joined(columns) if len(columns) == len(parts) else list(chain.from_iterable(parts))

    def remove(self, count: int) -> None:
        """Remove the first `count` records."""
        self._count -= count
        while count and count >= len(self._batches[0]):
            count -= len(self._batches.popleft())
        if count:
            batch = self._batches[0]
            if isinstance(batch, RecordColumns):
                batch.drop(count)
            else:
                del batch[:count]

    def clear(self) -> None:
        """Remove all records."""
        self._batches.clear()
        self._count = 0

    def last_offset(self) -> int:
        """Return the offset of the last record; there has to be one."""
        return offset_at(self._batches[-1], -1)

    def after(self, offset: int) -> list[Record]:
        """Return the records behind an offset, the newest first."""
        records: list[Record] = []
        for batch in reversed(self._batches):
            if offset_at(batch, -1) <= offset:
                break
            records += [record for record in reversed(list(batch)) if record.offset > offset]
        return records
