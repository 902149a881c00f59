"""The log of the in-memory broker: the records of each partition, and who committed what."""

from bisect import bisect_left
from collections.abc import Sequence

from attrs import define, field, frozen

from sdml_kafka.transport.interfaces.records import TopicPartition


class Misuse(AssertionError):
    """The port was used in a way that no contract allows: a bug of the program under test."""


@frozen
class MemoryRecord:
    """A record as the in-memory broker keeps and delivers it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_type: int = 0
    """0 as in Kafka: the producer has set the timestamp."""

    @property
    def serialized_key_size(self) -> int:
        """The number of bytes of the key, -1 if there is none."""
        return -1 if self.key is None else len(self.key)

    @property
    def serialized_value_size(self) -> int:
        """The number of bytes of the value, -1 if there is none."""
        return -1 if self.value is None else len(self.value)


@frozen
class MemoryCommit:
    """An offset that a group committed."""

    group: str
    member: str
    epoch: int
    """The number of the member's assignment."""
    generation: int
    """The number of the group's rebalance."""
    partition: TopicPartition
    offset: int
    metadata: str = ""
    """The text that was committed with it."""


@define(eq=False)
class Log:
    """The records of a partition. Offsets may have gaps, as transactions leave them.

    Reading ends at the first record of an open transaction, as it does for whoever reads committed
    records.
    """

    records: list[MemoryRecord] = field(factory=list[MemoryRecord], init=False)
    start: int = field(default=0, init=False)
    end: int = field(default=0, init=False)
    _open: dict[object, set[int]] = field(factory=dict[object, set[int]], init=False)
    """The offsets of the records of each transaction that is neither committed nor aborted."""

    @property
    def stable_end(self) -> int:
        """The offset at which the first open transaction begins, else the end."""
        return min((min(offsets) for offsets in self._open.values()), default=self.end)

    def append(self, record: MemoryRecord) -> None:
        """Add a record, whose offset is the end of the log."""
        self.records.append(record)
        self.end = record.offset + 1

    def enlist(self, transaction: object, offset: int) -> None:
        """Let the record at an offset be part of a transaction."""
        self._open.setdefault(transaction, set()).add(offset)

    def settle(self, transaction: object, *, committed: bool) -> None:
        """End a transaction, whose records stay or go, and leave a marker behind it."""
        offsets = self._open.pop(transaction, None)
        if offsets is not None:
            if not committed:
                self.records = [each for each in self.records if each.offset not in offsets]
            self.skip(1)

    def skip(self, count: int) -> None:
        """Leave a gap of `count` offsets."""
        self.end += count

    def trim(self, before: int) -> None:
        """Drop the records before this offset."""
        self.records = [record for record in self.records if record.offset >= before]
        self.start = before

    def truncate(self, end: int) -> None:
        """Drop the records from this offset on."""
        self.records = [record for record in self.records if record.offset < end]
        self.end = end

    def read(self, offset: int, max_records: int) -> list[MemoryRecord]:
        """Return at most `max_records` records from this offset on, that are committed."""
        first, end = self._index(offset), len(self.records)
        if self._open:
            end = self._index(self.stable_end)
        return self.records[first : min(end, first + max_records)]

    def _index(self, offset: int) -> int:
        return bisect_left(self.records, offset, key=lambda record: record.offset)
