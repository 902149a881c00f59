"""Our decoding of a fetch against aiokafka's own: the same records, positions and errors."""

import gc
import pickle
import struct
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition as ClientPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.transport.aiokafka.consumer import record_batches
from sdml_kafka.transport.aiokafka.consumer.record_batches import RecordBatches
from sdml_kafka.transport.interfaces.records import TopicPartition

PLACE = TopicPartition("orders", 3)
NAMES = (
    "topic", "partition", "offset", "timestamp", "timestamp_type", "key", "value", "checksum",
    "serialized_key_size", "serialized_value_size", "headers",
)  # fmt: skip
NO_CODEC, GZIP, SNAPPY, LZ4, ZSTD, UNKNOWN_CODEC = 0, 1, 2, 3, 4, 7
ATTRIBUTES_AT, LAST_DELTA_AT, CRC_AT = 21, 23, 17
LOG_APPEND_TIME, CONTROL = 0x08, 0x20


@frozen
class Batch:
    """A batch as it lies in a log, its first offset aside."""

    records: Sequence[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]]
    """How far each offset lies behind the one before, with key, value and headers."""
    codec: int = NO_CODEC
    producer: int = -1
    transactional: bool = False
    marker: int | None = None
    """0 for a marker that aborts, 1 for one that commits; None for records."""
    tail_gap: int = 0
    """The number of offsets behind the last record that compaction has removed."""
    log_append_time: bool = False
    damaged: bool = False

    def encode(self, base: int) -> tuple[bytes, int]:
        """Return the bytes, and the offset behind the batch."""
        builder = DefaultRecordBatchBuilder(
            2, self.codec, int(self.transactional), self.producer, 0, -1, 1 << 30
        )
        delta = -1
        if self.marker is not None:
            delta = 0
            builder.append(0, 1000, struct.pack(">hh", 0, self.marker), b"\0" * 6, [])
        else:
            for step, key, value, headers in self.records:
                delta += step
                builder.append(delta, 1000 + delta, key, value, headers)
        encoded = bytearray(builder.build())
        last_delta = max(delta, 0) + self.tail_gap
        (attributes,) = struct.unpack_from(">h", encoded, ATTRIBUTES_AT)
        attributes |= LOG_APPEND_TIME * self.log_append_time
        attributes |= CONTROL * (self.marker is not None)
        struct.pack_into(">q", encoded, 0, base)
        struct.pack_into(">hi", encoded, ATTRIBUTES_AT, attributes, last_delta)
        crc = calc_crc32c(bytes(encoded[ATTRIBUTES_AT:]))
        struct.pack_into(">I", encoded, CRC_AT, crc ^ self.damaged)
        return bytes(encoded), base + last_delta + 1


def log_of(batches: Sequence[Batch], base: int) -> bytes:
    """Return the bytes of a log that begins at `base`."""
    encoded = b""
    for batch in batches:
        more, base = batch.encode(base)
        encoded += more
    return encoded


def fetched(
    log: bytes,
    position: int,
    aborted: Sequence[tuple[int, int]] = (),
    isolation: int = READ_UNCOMMITTED,
) -> Any:
    """Return what aiokafka makes of a fetch, of which nothing was read."""
    return PartitionRecords(
        ClientPartition(*PLACE), MemoryRecords(log), aborted, position, None, None, True, isolation
    )


def shown(record: Any) -> list[Any]:
    return [getattr(record, name) for name in NAMES]


def read_by_aiokafka(records: Any) -> tuple[list[Any], type[Exception] | None, int]:
    read: list[Any] = []
    try:
        read.extend(map(shown, records))
    except Exception as error:
        return read, type(error), records.next_fetch_offset
    return read, None, records.next_fetch_offset


def read_by_us(
    batches: RecordBatches, sizes: Sequence[int]
) -> tuple[list[Any], type[Exception] | None, int]:
    read: list[Any] = []
    turn = 0
    try:
        while not batches.is_exhausted:
            size = sizes[turn % len(sizes)]
            turn += 1
            taken = batches.take(size)
            assert len(taken) <= size
            assert not taken or batches.next_fetch_offset > taken[-1].offset
            read += map(shown, taken)
    except Exception as error:
        return read, type(error), batches.next_fetch_offset
    return read, None, batches.next_fetch_offset


maybe_bytes = st.none() | st.binary(max_size=20)
records = st.lists(
    st.tuples(
        st.integers(1, 3),
        maybe_bytes,
        maybe_bytes,
        st.lists(st.tuples(st.text(max_size=4), st.binary(max_size=4)), max_size=2),
    ),
    max_size=8,
)
producers = st.sampled_from([-1, 7, 8])
batches_of_records = st.builds(
    Batch,
    records,
    codec=st.sampled_from([NO_CODEC, NO_CODEC, GZIP, SNAPPY, LZ4, ZSTD]),
    producer=producers,
    transactional=st.booleans(),
    tail_gap=st.integers(0, 3),
    log_append_time=st.booleans(),
    damaged=st.sampled_from([False] * 9 + [True]),
)
markers = st.builds(
    Batch,
    st.just(()),
    producer=producers,
    transactional=st.just(True),
    marker=st.sampled_from([0, 1]),
)
logs = st.lists(batches_of_records | markers, max_size=6)


@given(
    log=logs,
    base=st.integers(0, 1 << 40),
    into=st.integers(0, 5),
    aborted=st.lists(st.tuples(st.sampled_from([7, 8]), st.integers(0, 30)), max_size=4),
    isolation=st.sampled_from([READ_COMMITTED, READ_UNCOMMITTED]),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    max_raws=st.sampled_from([1, 3, record_batches.MAX_RAWS]),
)
def test_what_is_read_is_what_aiokafka_reads(
    log: list[Batch],
    base: int,
    into: int,
    aborted: list[tuple[int, int]],
    isolation: int,
    sizes: list[int],
    max_raws: int,
) -> None:
    encoded = log_of(log, base)
    position = base + into if log and into < log[0].encode(base)[1] - base else base
    aborts = [(producer, base + offset) for producer, offset in aborted]
    theirs = read_by_aiokafka(fetched(encoded, position, aborts, isolation))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_batches, "MAX_RAWS", max_raws)
        batches = RecordBatches(PLACE, fetched(encoded, position, aborts, isolation))
        ours = read_by_us(batches, sizes)
    assert ours == theirs


@pytest.mark.parametrize(
    ("magic", "codec"),
    [(0, NO_CODEC), (0, GZIP), (0, SNAPPY), (1, NO_CODEC), (1, GZIP), (1, SNAPPY), (1, LZ4)],
)
def test_formats_before_kafka_0_11_are_read_as_well(magic: int, codec: int) -> None:
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 20)
    for offset in range(4):
        builder.append(offset, 1000 + offset, b"key", b"value" * 20)
    log = builder.build()
    if codec != NO_CODEC:
        struct.pack_into(">q", log, 0, 3)  # as the broker does, to that of the last record
    log = bytes(log)
    theirs = read_by_aiokafka(fetched(log, 1))
    assert read_by_us(RecordBatches(PLACE, fetched(log, 1)), [3]) == theirs
    assert len(theirs[0]) == 3


def test_records_before_damage_come_out_before_the_error() -> None:
    good = Batch([(1, None, b"1", []), (1, None, b"2", [])])
    bad = Batch([(1, None, b"3", [])], damaged=True)
    batches = RecordBatches(PLACE, fetched(log_of([good, bad], 10), 10))
    assert [record.value for record in batches.take(500)] == [b"1", b"2"]
    assert batches.next_fetch_offset == 12
    for _ in range(2):
        assert not batches.is_exhausted
        with pytest.raises(CorruptRecordException, match="orders"):
            batches.take(500)


def test_a_batch_in_a_codec_that_nobody_knows_is_an_error() -> None:
    encoded = bytearray(log_of([Batch([(1, None, b"1", [])])], 0))
    struct.pack_into(">h", encoded, ATTRIBUTES_AT, UNKNOWN_CODEC)
    struct.pack_into(">I", encoded, CRC_AT, calc_crc32c(bytes(encoded[ATTRIBUTES_AT:])))
    theirs = read_by_aiokafka(fetched(bytes(encoded), 0))
    assert read_by_us(RecordBatches(PLACE, fetched(bytes(encoded), 0)), [5]) == theirs
    assert theirs[1] is not None


def test_what_was_fetched_is_freed_without_the_garbage_collector() -> None:
    untouched = fetched(log_of([Batch([(1, None, b"1", [])])], 0), 0)
    gone = weakref.ref(untouched)
    gc.disable()
    try:
        RecordBatches(PLACE, untouched).take(500)
        del untouched
        assert gone() is None
    finally:
        gc.enable()


@given(
    log=st.lists(
        batches_of_records.filter(lambda batch: bool(batch.records) and not batch.damaged),
        max_size=3,
    )
)
def test_sizes_are_those_of_value_key_and_headers(log: list[Batch]) -> None:
    position = 7
    read = RecordBatches(PLACE, fetched(log_of(log, position), position)).take(500)
    expected = [
        len(record.value or b"")
        + len(record.key or b"")
        + sum(len(name) + len(value) for name, value in record.headers)
        for record in read
    ]
    assert read.sizes == expected


def test_a_record_compares_and_pickles_by_what_it_holds() -> None:
    log = log_of([Batch([(1, b"key", b"value", [("name", b"x")]), (1, None, b"other", [])])], 5)
    one, other = RecordBatches(PLACE, fetched(log, 5)).take(500)
    again = RecordBatches(PLACE, fetched(log, 5)).take(1)[0]
    copied = pickle.loads(pickle.dumps(one))
    assert one == again == copied
    assert hash(one) == hash(copied)
    assert one not in (other, "value", None)
    assert shown(copied) == shown(one)
    assert repr(one) == (
        "FetchedRecord(topic='orders', partition=3, offset=5, timestamp=1000, timestamp_type=0, "
        "key=b'key', value=b'value', headers=(('name', b'x'),))"
    )


UNREADABLE = Batch([(1, None, b"x", [("NAME", b"")])] * 3)


def unreadable(base: int) -> bytes:
    """Return a batch of three records of which none decodes, with a checksum that is right."""
    encoded = bytearray(UNREADABLE.encode(base)[0].replace(b"NAME", b"\xff\xfe\xff\xfe"))
    struct.pack_into(">I", encoded, CRC_AT, calc_crc32c(bytes(encoded[ATTRIBUTES_AT:])))
    return bytes(encoded)


GOOD = Batch([(1, None, b"y", [])])
DAMAGED = Batch([(1, None, b"y", [])] * 3, damaged=True)


@pytest.mark.parametrize(
    ("log", "end"),
    [
        (unreadable(5), 8),
        (unreadable(5) + log_of([GOOD], 9), 8),
        (log_of([DAMAGED, GOOD], 5), 8),
        (log_of([DAMAGED], 5), None),
    ],
    ids=["header", "header and more", "checksum and more", "checksum alone"],
)
def test_the_end_of_a_batch_that_does_not_decode_is_known_if_something_tells(
    log: bytes, end: int | None
) -> None:
    batches = RecordBatches(PLACE, fetched(log, 5))
    with pytest.raises((UnicodeDecodeError, CorruptRecordException)):
        batches.take(100)
    assert batches.bad_end == end
