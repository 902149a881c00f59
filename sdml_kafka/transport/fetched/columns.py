"""Records as they were fetched: column by column, until somebody asks for a record."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from operator import add, attrgetter
from typing import Any, Protocol, overload

from sdml_kafka.transport.fetched.record import FetchedRecord, FlatHeaders, new_record
from sdml_kafka.transport.interfaces.records import TopicPartition

_offset_of = attrgetter("offset")
_timestamp_of = attrgetter("timestamp")
_timestamp_type_of = attrgetter("timestamp_type")
_key_of = attrgetter("key")
_value_of = attrgetter("value")
_checksum_of = attrgetter("checksum")
_headers_of = attrgetter("headers")

Headers = Sequence[tuple[str, bytes]]


class RawRecord(Protocol):
    """A record as a client's decoder makes it, which does not know its topic."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def checksum(self) -> int | None: ...


class RecordColumns(Sequence[FetchedRecord]):
    """Records of one partition in the order of their offsets, each column a list.

    The garbage collector looks at each record object that waits, which cost as much as fetching and
    decoding the record (1.0 us of CPU). Of numbers and bytes in a few lists it sees the lists. A
    column is None if all records have the usual: a timestamp by the sender, no key, no checksum of
    their own, no headers.

    Attributes:
        values: The value of each record, None for a tombstone.
        offsets: The offset of each record, a `range` if none is missing.
    """

    __slots__ = (
        "_checksums",
        "_headers",
        "_keys",
        "_may_lack_values",
        "_place",
        "_sizes",
        "_timestamp_types",
        "_timestamps",
        "offsets",
        "values",
    )

    def __init__(self, place: TopicPartition) -> None:
        """Begin without records of the partition `place`."""
        self._place = place
        self.offsets: Sequence[int] = range(0)
        self.values: list[bytes | None] = []
        self._sizes: list[int] = []
        """Those of the first records, as far as they were counted."""
        self._may_lack_values = False
        """True if a value was missing when they were counted."""
        self._timestamps: list[int] = []
        self._timestamp_types: list[int] | None = None
        self._keys: list[bytes | None] | None = None
        self._checksums: list[int | None] | None = None
        self._headers: list[FlatHeaders] | None = None

    @classmethod
    def of(
        cls,
        place: TopicPartition,
        offsets: Sequence[int],
        values: list[bytes | None],
        timestamps: list[int],
        timestamp_types: list[int] | None,
        keys: list[bytes | None] | None,
        headers: Iterable[FlatHeaders] | None,
    ) -> "RecordColumns":
        """Return records of the partition `place` from columns of one length, which are kept."""
        columns = cls(place)
        columns.offsets, columns.values = offsets, values
        columns._timestamps, columns._timestamp_types = timestamps, timestamp_types
        columns._keys, columns._headers = keys, None if headers is None else list(headers)
        if keys is None and headers is None:
            columns._count_sizes()  # while the values are in the processor's caches
        return columns

    def add_raws(self, raws: Sequence[RawRecord], *, are_plain: bool) -> None:
        """Append what a decoder made, which is not kept.

        Args:
            raws: The records, one at least.
            are_plain: Whether each has a timestamp by the sender, and no checksum of its own.
        """
        count = len(self.values)
        values: list[bytes | None] = list(map(_value_of, raws))
        keys: list[bytes | None] = list(map(_key_of, raws))
        headers: list[Headers] = list(map(_headers_of, raws))
        self.offsets = _joined(self.offsets, rising_offsets(raws))
        self.values += values
        self._timestamps.extend(map(_timestamp_of, raws))
        if keys.count(None) < len(keys):
            self._keys = _extended(self._keys, count, None, keys)
        if any(headers):
            self._headers = _extended(self._headers, count, (), flattened(headers))
        if not are_plain:
            types, checksums = map(_timestamp_type_of, raws), map(_checksum_of, raws)
            self._timestamp_types = _extended(self._timestamp_types, count, 0, types)
            self._checksums = _extended(self._checksums, count, None, checksums)
        self._fill_up()

    def add(self, more: "RecordColumns") -> None:
        """Append records of the same partition, one at least."""
        count = len(self.values)
        self.offsets = _joined(self.offsets, more.offsets)
        self.values += more.values
        if len(self._sizes) == count:
            self._sizes += more._sizes
        self._may_lack_values |= more._may_lack_values
        self._timestamps += more._timestamps
        self._timestamp_types = _extended(self._timestamp_types, count, 0, more._timestamp_types)
        self._keys = _extended(self._keys, count, None, more._keys)
        self._checksums = _extended(self._checksums, count, None, more._checksums)
        self._headers = _extended(self._headers, count, (), more._headers)
        self._fill_up()

    def _fill_up(self) -> None:
        """Lengthen the columns that are there by what is usual."""
        count = len(self.values)
        columns: tuple[tuple[Any, Any], ...] = (
            (self._timestamp_types, 0),
            (self._keys, None),
            (self._checksums, None),
            (self._headers, ()),
        )
        for column, usual in columns:
            if column is not None and len(column) < count:
                filling: Any = repeat(usual, count - len(column))
                column.extend(filling)

    @property
    def sizes(self) -> list[int]:
        """The bytes of each record: its value, key and headers.

        They are counted when they are asked for. For the replies to calls, which have headers,
        nobody asks, and counting takes as long as decoding.
        """
        if len(self._sizes) < len(self.values):
            self._count_sizes()
        return self._sizes

    def _count_sizes(self) -> None:
        count = len(self._sizes)
        values = self.values[count:]
        try:
            sizes = list(map(len, values))  # type: ignore[arg-type]
        except TypeError:  # one is None; to look for it first would take longer
            sizes, self._may_lack_values = _lengths(values), True
        if self._keys is not None:
            sizes = list(map(add, sizes, _lengths(self._keys[count:])))
        if self._headers is not None:
            sizes = list(map(add, sizes, _lengths_of_headers(self._headers[count:])))
        self._sizes += sizes

    @property
    def has_all_values(self) -> bool:
        """True if no value is missing, as far as the sizes were counted anyway."""
        return not self._may_lack_values and len(self._sizes) == len(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[FetchedRecord]:
        return map(new_record, self.rows())

    @property
    def are_plain(self) -> bool:
        """True if each record has a timestamp by the sender, and no checksum of its own."""
        return self._timestamp_types is None and self._checksums is None

    def rows(self) -> Iterable[tuple[Any, ...]]:
        """Return what each record consists of, in the order of a `FetchedRecord`."""
        topic, partition = self._place
        return zip(
            repeat(topic),
            repeat(partition),
            self.offsets,
            self._timestamps,
            repeat(0) if self._timestamp_types is None else self._timestamp_types,
            repeat(None) if self._keys is None else self._keys,
            self.values,
            repeat(None) if self._checksums is None else self._checksums,
            repeat(()) if self._headers is None else self._headers,
        )

    @overload
    def __getitem__(self, index: int) -> FetchedRecord: ...
    @overload
    def __getitem__(self, index: slice) -> "RecordColumns": ...
    def __getitem__(self, index: int | slice) -> "FetchedRecord | RecordColumns":
        if isinstance(index, int):
            at = range(len(self.values))[index]
            return next(iter(self[at : at + 1]))
        part = RecordColumns.__new__(RecordColumns)
        part._place = self._place
        part.offsets, part.values = self.offsets[index], self.values[index]
        are_counted = len(self._sizes) == len(self.values)
        part._sizes = self._sizes[index] if are_counted else []
        part._may_lack_values = self._may_lack_values
        part._timestamps = self._timestamps[index]
        part._timestamp_types = _part(self._timestamp_types, index)
        part._keys = _part(self._keys, index)
        part._checksums = _part(self._checksums, index)
        part._headers = _part(self._headers, index)
        return part

    @property
    def keys(self) -> Sequence[bytes | None] | None:
        """The key of each record, None if none has one."""
        return self._keys

    def record(self, at: int) -> FetchedRecord:
        """Return one record, which is cheaper than making all if few are asked for."""
        topic, partition = self._place
        return FetchedRecord(
            topic,
            partition,
            self.offsets[at],
            self._timestamps[at],
            0 if self._timestamp_types is None else self._timestamp_types[at],
            None if self._keys is None else self._keys[at],
            self.values[at],
            None if self._checksums is None else self._checksums[at],
            () if self._headers is None else self._headers[at],
        )

    def drop(self, count: int) -> None:
        """Remove the first records, and free them."""
        self.offsets = self.offsets[count:]
        del self.values[:count], self._sizes[:count], self._timestamps[:count]
        for column in (self._timestamp_types, self._keys, self._checksums, self._headers):
            if column is not None:
                del column[:count]


def flattened(headers: Sequence[Headers]) -> Iterable[FlatHeaders]:
    """Return the names and values of each record's headers in turn."""
    # Written out for what calls have, since anything else takes three times as long.
    counts = set(map(len, headers))
    if counts == {2}:
        return [(*a, *b) for a, b in headers]
    if counts == {3}:
        return [(*a, *b, *c) for a, b, c in headers]
    if counts == {4}:
        return [(*a, *b, *c, *d) for a, b, c, d in headers]
    return map(tuple, map(chain.from_iterable, headers))


def joined(parts: Sequence[RecordColumns]) -> RecordColumns:
    """Return records of one partition that follow each other as one; the first part grows."""
    whole = parts[0] if parts else NO_RECORDS
    for part in parts[1:]:
        whole.add(part)
    return whole


def _lengths_of_headers(headers: Sequence[FlatHeaders]) -> list[int]:
    try:  # as in `flattened`
        counts = set(map(len, headers))
        if counts == {4}:
            return [len(a) + len(b) + len(c) + len(d) for a, b, c, d in headers]
        if counts == {6}:
            return [
                len(a) + len(b) + len(c) + len(d) + len(e) + len(f) for a, b, c, d, e, f in headers
            ]
    except TypeError:  # a header without a value
        pass
    return [sum(len(each or b"") for each in flat) for flat in headers]


def rising_offsets(records: Sequence[Any]) -> Sequence[int]:
    """Return the offset of each record, a `range` if none is missing."""
    if not records:
        return range(0)
    first, last = records[0].offset, records[-1].offset
    if last - first == len(records) - 1:
        return range(first, last + 1)
    return list(map(_offset_of, records))


def _joined(first: Sequence[int], second: Sequence[int]) -> Sequence[int]:
    if not first:
        return second
    if second[-1] - first[0] == len(first) + len(second) - 1:
        return range(first[0], second[-1] + 1)
    return [*first, *second]


def _part[T](column: list[T] | None, index: slice) -> list[T] | None:
    return None if column is None else column[index]


def _extended[T](
    column: list[T] | None, count: int, usual: T, more: Iterable[T] | None
) -> list[T] | None:
    """Return a column of `count` records with more in it; None stands for what is usual."""
    if more is None:
        return column
    if column is None:
        column = [usual] * count
    column.extend(more)
    return column


def _lengths(values: list[Any]) -> list[int]:
    try:
        return list(map(len, values))
    except TypeError:  # one is None; to look for it first would take longer
        return [len(each or b"") for each in values]


NO_RECORDS = RecordColumns(TopicPartition("", 0))
"""Nothing is added to these."""
