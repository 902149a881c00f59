"""The limits of dead letters."""

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.listener.processing.limits import LEAST_RECORDS, SLOTS, FailureLimits
from sdml_kafka.listener.processing.policies import DeadLetter


def test_five_in_a_row_are_written_and_the_sixth_is_not() -> None:
    limits, policy = FailureLimits(), DeadLetter(max_consecutive=5)
    assert [limits.refusal(policy, 0.0) for _ in range(5)] == [None] * 5
    assert "6 records" in (limits.refusal(policy, 0.0) or "")


def test_a_good_end_begins_the_count_anew() -> None:
    limits, policy = FailureLimits(), DeadLetter(max_consecutive=2)
    for _ in range(10):
        assert limits.refusal(policy, 0.0) is None
        assert limits.refusal(policy, 0.0) is None
        limits.note_good(0.0)


def test_no_limit_refuses_nothing() -> None:
    limits, policy = FailureLimits(), DeadLetter()
    assert all(limits.refusal(policy, 0.0) is None for _ in range(1000))


@given(
    st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=200),
    st.floats(0, 1),
)
def test_the_ratio_is_that_of_the_window(steps: list[tuple[float, bool]], ratio: float) -> None:
    policy = DeadLetter(max_ratio=ratio, window_s=20.0)
    limits = FailureLimits()
    limits.prepare(policy)
    now, ended = 0.0, list[tuple[float, bool]]()
    slot_s = policy.window_s / SLOTS
    for wait_s, fails in steps:
        now += wait_s
        ended.append((now, fails))
        if not fails:
            limits.note_good(now)
            continue
        refusal = limits.refusal(policy, now)
        # What ended at the edge of the window may count or not, by one slot.
        sure = [failed for at, failed in ended if at > now - policy.window_s]
        all_of = [failed for at, failed in ended if at > now - policy.window_s - slot_s]
        if len(all_of) < LEAST_RECORDS:
            assert refusal is None
        elif all_of == sure:
            assert (refusal is not None) == (sum(sure) > ratio * len(sure))
