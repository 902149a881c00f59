"""The search for the end of a batch that does not decode."""

from math import log2

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.transport.librdkafka.consumer.records.bad_batches import BadBatch

REASON = "damaged"


def searched(sizes: list[int], *, first: int, bad: set[int]) -> tuple[BadBatch, int]:
    """Return the search that begins at `first`, with the number of tries, in a log of batches."""
    begins = [sum(sizes[:number]) for number in range(len(sizes))]
    batches = [number for number, size in enumerate(sizes) for _ in range(size)]
    search, tries = BadBatch(first, begins[batches[first]], len(batches), REASON), 0
    while not search.is_found:
        tries += 1
        assert first < search.trying <= len(batches), "reading would begin anew there"
        if search.trying < len(batches) and (number := batches[search.trying]) in bad:
            search.failed(begins[number])
        else:
            search.passed()
    return search, tries


@given(
    before=st.lists(st.integers(1, 300), max_size=3),
    size=st.integers(1, 3000),
    behind=st.lists(st.tuples(st.integers(1, 300), st.booleans()), max_size=6),
    data=st.data(),
)
def test_the_end_is_found_soon_whatever_stands_behind(
    before: list[int], size: int, behind: list[tuple[int, bool]], data: st.DataObject
) -> None:
    sizes = [*before, size, *(each for each, _ in behind)]
    bad = {len(before)} | {
        number for number, (_, is_bad) in enumerate(behind, len(before) + 1) if is_bad
    }
    begin = sum(before)
    first = data.draw(st.integers(begin, begin + size - 1))
    search, tries = searched(sizes, first=first, bad=bad)
    assert (search.first, search.trying, search.reason) == (first, begin + size, REASON)
    assert tries <= 2 * log2(size) + 3


def test_a_log_whose_end_is_not_known_is_tried_offset_by_offset() -> None:
    search = BadBatch(10, 8, -1001, REASON)
    tried: list[int] = []
    while not search.is_found:
        tried.append(search.trying)
        if search.trying < 14:
            search.failed(8)
        else:
            search.passed()
    assert tried == [11, 12, 13, 14]
