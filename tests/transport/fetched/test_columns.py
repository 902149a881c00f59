"""Records kept column by column: cut, joined and made, they are the records that came."""

from itertools import chain
from typing import Any

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.transport.fetched.columns import RecordColumns, joined
from sdml_kafka.transport.fetched.parts import offset_at, offsets_of, values_of
from sdml_kafka.transport.fetched.record import FetchedRecord
from sdml_kafka.transport.interfaces.records import TopicPartition

PLACE = TopicPartition("orders", 3)


@frozen
class Raw:
    """What a decoder makes of a record."""

    offset: int
    timestamp: int = 1000
    timestamp_type: int = 0
    key: bytes | None = None
    value: bytes | None = b"value"
    headers: tuple[tuple[str, bytes], ...] = ()
    checksum: int | None = None


def columns(raws: list[Raw], are_plain: bool = False) -> RecordColumns:
    records = RecordColumns(PLACE)
    if raws:
        records.add_raws(raws, are_plain=are_plain)
    return records


def made(raws: list[Raw]) -> list[FetchedRecord]:
    return [
        FetchedRecord(
            *PLACE,
            raw.offset,
            raw.timestamp,
            raw.timestamp_type,
            raw.key,
            raw.value,
            raw.checksum,
            tuple(chain.from_iterable(raw.headers)),
        )
        for raw in raws
    ]


ONE = (("name", b"x"),)
TWO = (*ONE, ("other", b"why"))
THREE = (*TWO, ("empty", b""))
FOUR: Any = (*THREE, ("null", None))


maybe_bytes = st.none() | st.binary(max_size=3)
raws_of_a_batch = st.lists(
    st.builds(
        Raw,
        offset=st.just(0),
        timestamp=st.integers(0, 9),
        timestamp_type=st.sampled_from([0, 0, 1]),
        key=maybe_bytes,
        value=maybe_bytes,
        headers=st.sampled_from([(), ONE, TWO, THREE, FOUR]),
        checksum=st.sampled_from([None, None, 5]),
    )
    | st.just(Raw(0)),
    max_size=5,
)


@given(st.lists(raws_of_a_batch, max_size=4), st.integers(0, 9), st.integers(0, 9), st.data())
def test_cut_and_joined_they_are_the_same_records(
    batches: list[list[Raw]], start: int, count: int, data: st.DataObject
) -> None:
    offset, parts, all_raws = 0, [], list[Raw]()
    for batch in batches:
        raws = list[Raw]()
        for raw in batch:
            offset += data.draw(st.sampled_from([1, 1, 2]))
            raws.append(
                Raw(
                    offset,
                    raw.timestamp,
                    raw.timestamp_type,
                    raw.key,
                    raw.value,
                    raw.headers,
                    raw.checksum,
                )
            )
        if raws:
            parts.append(columns(raws))
            all_raws += raws
    expected = made(all_raws)
    whole = joined(parts)
    assert list(whole) == expected
    assert [record.headers for record in whole] == [raw.headers for raw in all_raws]
    assert whole.sizes == list(map(size_of, all_raws))
    assert list(offsets_of(whole)) == [record.offset for record in expected]
    cut = whole[start : start + count]
    assert list(cut) == expected[start : start + count]
    assert len(cut.sizes) == len(cut)
    # Before and after their sizes were counted.
    for records, raws in [
        (joined([columns(all_raws)]), all_raws),
        (whole, all_raws),
        (cut, all_raws[start : start + count]),
    ]:
        values = [raw.value for raw in raws]
        assert values_of(records) == (values if values and None not in values else None)
    whole.drop(min(start, len(whole)))
    assert list(whole) == expected[start:]
    assert [whole[at] for at in range(len(whole))] == expected[start:]


def test_offsets_without_a_gap_are_a_range_however_they_were_added() -> None:
    whole = columns([Raw(4), Raw(5)])
    whole.add(columns([Raw(6)], are_plain=True))
    assert whole.offsets == range(4, 7)
    assert (offset_at(whole, 0), offset_at(whole, -1)) == (4, 6)


def test_values_are_those_of_all_records_or_none() -> None:
    whole = columns([Raw(4), Raw(5, value=b"")])
    assert values_of(whole) == [b"value", b""] == values_of(list(whole))
    whole.add(columns([Raw(6, value=None)]))
    assert values_of(whole) is None
    assert values_of(list(whole)) is None


@given(st.lists(raws_of_a_batch.filter(bool), min_size=1, max_size=4), st.data())
def test_sizes_are_the_same_whenever_they_are_asked_for(
    batches: list[list[Raw]], data: st.DataObject
) -> None:
    whole, expected = RecordColumns(PLACE), list[int]()
    for batch in batches:
        more = columns(batch)
        for records in (whole, more):
            if data.draw(st.booleans()):
                assert len(records.sizes) == len(records)
        whole.add(more)
        expected += map(size_of, batch)
        if data.draw(st.booleans()):
            count = data.draw(st.integers(0, len(whole)))
            whole.drop(count)
            del expected[:count]
        if data.draw(st.booleans()):
            start = data.draw(st.integers(0, len(whole)))
            assert whole[start:].sizes == expected[start:]
    assert whole.sizes == expected


def size_of(raw: Raw) -> int:
    pairs = sum(len(name) + len(value or b"") for name, value in raw.headers)
    return len(raw.value or b"") + len(raw.key or b"") + pairs
