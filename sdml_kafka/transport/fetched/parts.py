"""One part of each of several records, in whichever form they wait."""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import add, attrgetter
from typing import Any, cast

from sdml_kafka.transport.fetched.columns import RecordColumns, rising_offsets
from sdml_kafka.transport.fetched.record import FetchedRecord, FlatHeaders
from sdml_kafka.transport.interfaces.records import Record

_value_of = attrgetter("value")


def offsets_of(records: Sequence[Record]) -> Sequence[int]:
    """Return the offset of each record."""
    return records.offsets if type(records) is RecordColumns else rising_offsets(records)


def offset_at(records: Sequence[Record], index: int) -> int:
    """Return the offset of one of the records, which need not be made for it."""
    return records.offsets[index] if type(records) is RecordColumns else records[index].offset


def rows_of(records: Sequence[Record]) -> tuple[Iterable[tuple[Any, ...]], Sequence[Record]]:
    """Return what each record consists of, in the order of a `FetchedRecord`, and the records.

    There are no records where place, time, key, value and headers are all that makes one: such
    need not be made before somebody asks for them.
    """
    if type(records) is RecordColumns:
        return records.rows(), () if records.are_plain else list(records)
    return map(_row, records), records


def _row(record: Record) -> tuple[Any, ...]:
    headers = flat_headers(record)
    return (0, 0, 0, record.timestamp, 0, record.key, record.value, None, headers)


def flat_headers(record: Record) -> FlatHeaders:
    """Return the names and values of a record's headers in turn."""
    if type(record) is FetchedRecord:
        return record.flat_headers
    return tuple(chain.from_iterable(record.headers))


def values_of(records: Sequence[Record]) -> Sequence[bytes] | None:
    """Return the values of all records, None if one is missing or is no bytes.

    A deserializer of a program may have made something else of it.
    """
    values: Any
    if type(records) is RecordColumns:
        values = records.values
        if values and records.has_all_values:
            return cast(Sequence[bytes], values)
    else:
        values = list(map(_value_of, records))
    return cast(Sequence[bytes], values) if set(map(type, values)) == {bytes} else None


def sizes_of(records: Sequence[Any]) -> Sequence[int]:
    """Return the bytes of each record, as they came: a deserializer may have made less of them."""
    if type(records) is RecordColumns:
        return records.sizes
    # One attribute at a time is twice as fast as all of them, and most records have no headers.
    sizes = [each.serialized_value_size for each in records]
    keys = [each.serialized_key_size for each in records]
    if min(sizes) < 0:  # the size of what is missing is -1
        sizes = [0 if size < 0 else size for size in sizes]
    if max(keys) > 0:
        if min(keys) < 0:
            keys = [0 if size < 0 else size for size in keys]
        sizes = list(map(add, sizes, keys))
    headers = [each.headers for each in records]
    if any(headers):
        for index, pairs in enumerate(headers):
            for name, value in pairs:
                sizes[index] += len(name) + len(value or b"")
    return sizes
