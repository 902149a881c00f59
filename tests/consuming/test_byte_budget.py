"""How many records a poll may take, by the bytes that they are taken for."""

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.consuming.byte_budget import POLL_BYTES, ByteBudget

SIZES = st.integers(1, 10 << 20)


@given(limit=st.integers(1, 1 << 30), held=st.integers(0, 1 << 31), size=SIZES)
def test_a_poll_takes_a_part_of_what_is_free_and_one_record_at_least(
    limit: int, held: int, size: int
) -> None:
    budget = ByteBudget(float(limit))
    budget.held = held
    budget.expect(size)
    most = budget.most_records(2000)
    assert 1 <= most <= 2000
    assert most == 1 or most * size <= min(POLL_BYTES, (limit - held) / 2)


@given(size=SIZES)
def test_a_poll_is_bounded_where_the_program_sets_no_limit(size: int) -> None:
    budget = ByteBudget()
    budget.expect(size)
    most = budget.most_records(8000)
    assert most == max(1, min(8000, POLL_BYTES // size))
