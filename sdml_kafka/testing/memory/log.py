"""What the in-memory broker keeps: records in partitions, and who committed what."""

from bisect import bisect_left
from collections.abc import Sequence

from attrs import define, field, frozen

from sdml_kafka.transport.interfaces import TopicPartition


class Misuse(AssertionError):
    """The port was used in a way that no contract allows: a bug of the program under test."""


@frozen
class MemoryRecord:
    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_type: int = 0
    """0: set by the producer, as in Kafka."""


@frozen
class MemoryCommit:
    """One offset that a group committed."""

    group: str
    member: str
    epoch: int
    """Counts the assignments of that member."""
    generation: int
    """Counts the rebalances of the group."""
    partition: TopicPartition
    offset: int


@define(eq=False)
class Log:
    """One partition. Offsets may have gaps, as compaction and transactions leave them."""

    records: list[MemoryRecord] = field(factory=list[MemoryRecord], init=False)
    start: int = field(default=0, init=False)
    end: int = field(default=0, init=False)

    def append(self, record: MemoryRecord) -> None:
        self.records.append(record)
        self.end = record.offset + 1

    def skip(self, count: int) -> None:
        self.end += count

    def trim(self, before: int) -> None:
        self.records = [record for record in self.records if record.offset >= before]
        self.start = before

    def read(self, offset: int, most: int) -> list[MemoryRecord]:
        first = bisect_left(self.records, offset, key=lambda record: record.offset)
        return self.records[first : first + most]
