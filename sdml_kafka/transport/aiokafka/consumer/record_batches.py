# pyright: basic
# aiokafka is not typed.
"""Take what aiokafka has fetched, and decode it a batch at a time.

aiokafka's own `PartitionRecords` makes a dataclass of thirteen fields for each record and moves its
position with it. `RecordBatches` does the same work with one step a batch: what costs is what C
does, the checksum and the decoding. It takes the place of the `PartitionRecords` of a
`FetchResult`, which knows where it goes on by `next_fetch_offset`.

Rules for whoever edits this file:

- It yields what `PartitionRecords` yields, and ends where it ends. The property test
  `tests/transport/aiokafka/consumer/test_record_batches.py` compares the two.
- Records before a batch that is damaged are handed out first; the error comes with the next `take`.
- Private attributes of aiokafka's fetch results are used here and in `internals.py` alone.
  `is_supported` tries them out, and where they are not as expected `getmany` does the work.
"""

import os
from collections import deque
from collections.abc import Mapping
from functools import cache
from itertools import chain, islice
from logging import getLogger
from typing import Any

from aiokafka import TopicPartition as ClientPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchError, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from sdml_kafka.log_fields import fields
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.fetched.columns import NO_RECORDS, RecordColumns, joined
from sdml_kafka.transport.interfaces.records import TopicPartition

_log = getLogger("sdml_kafka.transport")

SWITCH = "SDML_KAFKA_DECODER"
"""The environment variable that leaves the decoding to aiokafka, if it is `aiokafka`."""

MAX_RAWS = 128
"""Raw records that live at once. The garbage collector runs after 700 objects more, and a record
is two of them."""


class RecordBatches:
    """Takes over a `PartitionRecords` of which no record has been read."""

    def __init__(self, partition: TopicPartition, untouched: Any) -> None:
        # It would keep the fetched bytes until the next garbage collection: it refers to itself.
        untouched._records_iterator = None
        self.next_fetch_offset: int = untouched.next_fetch_offset
        """The offset behind what was taken, and behind the markers that follow it."""
        self._partition = partition
        self._batches = untouched._records
        self._checks_crcs = untouched._check_crcs
        self._hides_aborted = untouched._isolation_level == READ_COMMITTED
        self._aborts = deque(untouched._aborted_transactions)
        """The producer and the first offset of each aborted transaction, by that offset."""
        self._aborted: set[int] = set()
        """The producers of which the records are those of an aborted transaction now."""
        self._decoded = NO_RECORDS
        """The records of the last batch, of which the first `_taken` were taken."""
        self._taken = 0
        self._raws: list[Any] = []
        """Records that were decoded last, which are not among `_decoded` yet."""
        self._are_plain = True
        self._batch_end = self.next_fetch_offset
        self._error: Exception | None = None
        self.bad_end: int | None = None
        """The offset behind the batch that does not decode; None if nothing says it for certain."""

    @property
    def is_exhausted(self) -> bool:
        """True if a `take` has nothing more to return or to raise."""
        return (
            self._taken == len(self._decoded)
            and self._error is None
            and not self._batches.has_next()
        )

    def take(self, max_records: int) -> RecordColumns:
        """Return the next records, at most this many; none if only markers are left.

        Raises:
            CorruptRecordException: The next batch is damaged. The fetch is worth nothing more.
            Exception: What else aiokafka raises for a batch that it cannot decode.
        """
        parts: list[RecordColumns] = []
        while max_records > 0:
            if self._taken == len(self._decoded) and not self._decode_next(
                max_records, is_first=not parts
            ):
                break
            part = self._decoded
            if self._taken or len(part) > max_records:
                part = part[self._taken : self._taken + max_records]
            max_records -= len(part)
            self._taken += len(part)
            if self._taken < len(self._decoded):
                self.next_fetch_offset = part.offsets[-1] + 1
            else:
                self._decoded, self._taken = NO_RECORDS, 0
                self.next_fetch_offset = self._batch_end
            if part:
                parts.append(part)
        return joined(parts)

    def _decode_next(self, count: int, *, is_first: bool) -> bool:
        """Decode the next batches, some `count` records; return False if there are none.

        There may be no records in them. An error is kept for a `take` that has nothing to return,
        and for those after it.
        """
        if self._error is None:
            if not self._batches.has_next():
                return False
            self._decoded, self._taken = RecordColumns(self._partition), 0
            batch = None
            try:
                while len(self._decoded) < count and self._batches.has_next():
                    batch = self._batches.next_batch()
                    self._decode(batch)
            except Exception as error:
                self._error = error
                self.bad_end = self._end_of(batch, error)
            self._keep_raws()  # also those before a damaged record: they are good
            return True
        if is_first:
            raise self._error
        return False

    def _end_of(self, batch: Any, error: Exception) -> int | None:
        try:
            if self._checks_crcs and not isinstance(error, CorruptRecordException):
                return int(batch.next_offset)  # the checksum is right, so this is
            return int(self._batches.next_batch().base_offset) if self._batches.has_next() else None
        except Exception:
            return None

    def _decode(self, batch: Any) -> None:
        if self._checks_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Wrong checksum in a batch of {self._partition}")
        if not (self._is_aborted(batch) or batch.is_control_batch):
            is_plain = type(batch) is DefaultRecordBatch and batch.timestamp_type == 0
            if is_plain is not self._are_plain:
                self._keep_raws()
                self._are_plain = is_plain
            left = chain(batch)  # a batch may be asked for its iterator only once
            while True:
                self._raws.extend(islice(left, MAX_RAWS - len(self._raws)))
                if len(self._raws) < MAX_RAWS:
                    break
                self._keep_raws()
        self._batch_end = max(self._batch_end, batch.next_offset)

    def _keep_raws(self) -> None:
        """Keep what is in the raw records, of which no more than a few should live."""
        if not self._raws:
            return
        raws, self._raws = self._raws, []
        self._batch_end = max(self._batch_end, raws[-1].offset + 1)
        if raws[0].offset < self.next_fetch_offset:
            # A fetch from the middle of a batch brings the whole batch.
            raws = [raw for raw in raws if raw.offset >= self.next_fetch_offset]
        if raws:
            self._decoded.add_raws(raws, are_plain=self._are_plain)

    def _is_aborted(self, batch: Any) -> bool:
        """Return whether this batch is part of an aborted transaction, and follow the markers."""
        if not self._hides_aborted or batch.producer_id is None:
            return False
        while self._aborts and self._aborts[0][1] <= batch.base_offset:
            self._aborted.add(self._aborts.popleft()[0])
        if batch.is_control_batch and ControlRecord.parse(next(batch).key) == ABORT_MARKER:
            self._aborted.discard(batch.producer_id)
        return batch.is_transactional and batch.producer_id in self._aborted


def take(
    consumer: Client,
    wanted: Mapping[Any, TopicPartition],
    max_records: int,
    bad_ends: dict[TopicPartition, int],
) -> Mapping[TopicPartition, RecordColumns]:
    """Take records that are there, without waiting.

    Args:
        consumer: The consumer.
        wanted: The partitions to take records of, by themselves.
        max_records: The number of records at most.
        bad_ends: Takes where a batch ends that does not decode, if that is known.

    Raises:
        Exception: An error of the group, or of a fetch, or a batch that does not decode. What was
            taken of other partitions is returned first.
    """
    internals.raise_pending(consumer)
    results = internals.fetch_results(consumer)
    taken: dict[TopicPartition, RecordColumns] = {}
    for key in list(results):
        partition = wanted.get(key)
        if partition is None:
            internals.drop_unassigned(consumer, key)
            continue
        try:
            records, is_exhausted = _take_of(results[key], partition, max_records)
        except Exception:
            if taken:
                break
            batches = getattr(results.pop(key), "_partition_records", None)
            if isinstance(batches, RecordBatches) and batches.bad_end is not None:
                bad_ends[partition] = batches.bad_end
            raise
        result = results.pop(key)
        if not is_exhausted:
            results[key] = result  # behind the others, which have the next turn
        if records:
            taken[partition] = records
            max_records -= len(records)
            if max_records <= 0:
                break
    return taken


def _take_of(
    result: Any, partition: TopicPartition, max_records: int
) -> tuple[RecordColumns, bool]:
    """Take records of one partition; return them, and whether nothing is left."""
    if type(result) is FetchError:
        result.check_raise()
    if not result.check_assignment(partition):
        return NO_RECORDS, True
    batches = result._partition_records
    if type(batches) is not RecordBatches:
        batches = result._partition_records = RecordBatches(partition, batches)
    records: RecordColumns = batches.take(max_records)
    result._update_position()
    return records, batches.is_exhausted


def decodes_here(consumer: Client) -> bool:
    """Return whether records of this consumer are taken by `take`, and not by `getmany`."""
    return (
        os.environ.get(SWITCH) != "aiokafka"
        and not internals.reads_its_own_way(consumer)
        and is_supported()
    )


@cache
def is_supported() -> bool:
    """Return whether aiokafka's fetch results are as this module expects; log it if not."""
    try:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 10)
        builder.append(0, 1, b"key", b"value", [])
        key = ClientPartition("topic", 0)
        fetched = PartitionRecords(
            key, MemoryRecords(bytes(builder.build())), None, 0, None, None, True, READ_COMMITTED
        )
        result = FetchResult(key, assignment=None, partition_records=fetched, backoff=0)
        (record,) = RecordBatches(TopicPartition(*key), result._partition_records).take(2)
        if record.value != b"value":
            raise ValueError(f"a record is read as {record}")
        for name in ("check_assignment", "_update_position"):
            getattr(result, name)
    except Exception as error:
        _log.warning(
            "aiokafka's fetch results are not as expected, so it decodes the records itself, which "
            "is slower: %r. Is there a newer version of this package?",
            error,
            extra=fields(error=error),
        )
        return False
    return True
