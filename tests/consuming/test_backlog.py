"""The backlog of a partition, whatever batches its records came in."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.consuming.backlog import Backlog
from sdml_kafka.testing.memory.log import MemoryRecord
from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from tests.transport.fetched.test_columns import Raw

PLACE = TopicPartition("orders", 3)


def as_columns(offsets: Sequence[int]) -> Sequence[Record]:
    columns = RecordColumns(PLACE)
    columns.add_raws([Raw(offset) for offset in offsets], are_plain=True)
    return columns


def as_list(offsets: Sequence[int]) -> Sequence[Record]:
    return [MemoryRecord(*PLACE, offset, 1000, None, b"value") for offset in offsets]


@given(
    batches=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=5),
    removed=st.integers(0, 20),
    count=st.integers(1, 20),
    after=st.integers(-1, 20),
)
def test_the_first_records_are_seen_and_removed(
    batches: list[tuple[int, bool]], removed: int, count: int, after: int
) -> None:
    backlog, end = Backlog(), 0
    for size, of_columns in batches:
        offsets = range(end, end + size)
        backlog.append(as_columns(offsets) if of_columns else as_list(offsets))
        end += size
    removed = min(removed, end)
    backlog.remove(removed)
    left = list(range(removed, end))
    assert len(backlog) == len(left)
    assert bool(backlog) == bool(left)
    assert [record.offset for record in backlog.after(after)] == [
        offset for offset in reversed(left) if offset > after
    ]
    if left:
        count = min(count, len(left))
        assert [record.offset for record in backlog.first(count)] == left[:count]
        assert len(backlog) == len(left)
        assert backlog.last_offset() == end - 1


@pytest.mark.parametrize("of_columns", [True, False])
def test_what_is_seen_stays_as_it_is_when_it_is_removed(of_columns: bool) -> None:
    backlog = Backlog()
    for start in (0, 3):
        offsets = range(start, start + 3)
        backlog.append(as_columns(offsets) if of_columns else as_list(offsets))
    seen = backlog.first(5)
    assert isinstance(seen, RecordColumns) == of_columns
    backlog.remove(2)
    backlog.remove(3)
    assert [record.offset for record in seen] == [0, 1, 2, 3, 4]


def test_the_polled_list_is_not_changed() -> None:
    polled, backlog = as_list(range(3)), Backlog()
    backlog.append(polled)
    backlog.remove(1)
    assert len(polled) == 3
    backlog.clear()
    assert not backlog
