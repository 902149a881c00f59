"""The commit schedule against a model that looks at the whole history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.consuming.commit_schedule import AutoCommit, CommitSchedule

Step = tuple[str, int, int]

POLICIES = st.one_of(
    st.none(),
    st.builds(AutoCommit, every=st.integers(1, 6)),
    st.builds(AutoCommit, interval_s=st.integers(1, 6)),
    st.builds(AutoCommit, every=st.integers(1, 6), interval_s=st.integers(1, 6)),
)
# What happens, how many seconds pass before it, and a count: of records, or of seconds to retry.
STEPS = st.lists(
    st.tuples(st.sampled_from(["finish", "commit", "fail"]), st.integers(0, 4), st.integers(0, 4)),
    max_size=30,
)


def due_by_history(policy: AutoCommit | None, history: list[Step]) -> bool:
    """Read the history backwards to the last commit; a failure since then overrides the policy."""
    if policy is None:
        return False
    elapsed = finished = 0
    for kind, seconds, count in reversed(history):
        if kind == "commit":
            break
        if kind == "fail":
            return elapsed >= count
        elapsed += seconds
        finished += count
    by_count = policy.every is not None and finished >= policy.every
    by_time = policy.interval_s is not None and elapsed >= policy.interval_s
    return by_count or by_time


@given(policy=POLICIES, steps=STEPS, start=st.integers(0, 100))
def test_is_due_as_the_history_says(
    policy: AutoCommit | None, steps: list[Step], start: int
) -> None:
    now, finished = start, 0
    schedule = CommitSchedule(policy, now)
    history = list[Step]()
    for kind, seconds, count in steps:
        now += seconds
        # Time passes before the step; as a step of its own the model need not know of that.
        history.append(("finish", seconds, 0))
        if kind == "finish":
            finished += count
        elif kind == "commit":
            schedule.committed(now, finished)
        else:
            schedule.failed(now, count)
        history.append((kind, 0, count))

        assert schedule.is_due(now, finished) == due_by_history(policy, history)


@given(policy=POLICIES, steps=STEPS)
def test_is_due_from_the_announced_time_and_count_on_and_not_before(
    policy: AutoCommit | None, steps: list[Step]
) -> None:
    now, finished = 0, 0
    schedule = CommitSchedule(policy, now)
    for kind, seconds, count in steps:
        now += seconds
        if kind == "finish":
            finished += count
        elif kind == "commit":
            schedule.committed(now, finished)
        else:
            schedule.failed(now, count)

        at, total = schedule.due_at(), schedule.due_count()
        if at is not None:
            assert schedule.is_due(at, schedule.finished)
            assert not schedule.is_due(at - 0.5, schedule.finished)
        if total is not None:
            assert schedule.is_due(schedule.now, total)
            assert not schedule.is_due(schedule.now, total - 1)
        if at is None and total is None:
            assert policy is None
            assert not schedule.is_due(1e9, 10**9)


def test_a_success_ends_the_retry() -> None:
    schedule = CommitSchedule(AutoCommit(every=2), now=0.0)
    schedule.failed(now=1.0, retry_after_s=5.0)
    assert not schedule.is_due(now=5.0, finished=100)
    assert schedule.is_due(now=6.0, finished=0)

    schedule.committed(now=6.0, finished=100)

    assert schedule.due_at() is None
    assert not schedule.is_due(now=100.0, finished=101)
    assert schedule.is_due(now=6.0, finished=102)


@pytest.mark.parametrize(
    ("every", "interval_s", "named"),
    [
        (None, None, "every"),
        (0, None, "every"),
        (-1, 5.0, "every"),
        (None, 0.0, "interval_s"),
        (None, -1.0, "interval_s"),
        (None, float("inf"), "interval_s"),
        (None, float("nan"), "interval_s"),
    ],
)
def test_a_policy_that_cannot_work_says_what_is_wrong(
    every: int | None, interval_s: float | None, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        AutoCommit(every=every, interval_s=interval_s)
