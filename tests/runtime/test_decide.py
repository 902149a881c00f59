"""The pure decisions, mostly by property."""

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.runtime import Restarts, RestartType, Strategy
from sdml_kafka.runtime.decide import (
    Member,
    Standing,
    admit_restart,
    backoff_s,
    count_attempt,
    next_to_restart,
    plan_restart,
    wants_restart,
)

seconds = st.floats(0, 1000)
policies = st.builds(
    lambda n, window, low, more, jitter: Restarts(n, window, low, low + more, jitter),
    st.integers(0, 6),
    seconds,
    seconds,
    seconds,
    st.floats(0, 1),
)
members = st.builds(
    Member, st.sampled_from(get_args(RestartType)), st.sampled_from(get_args(Standing))
)


@given(policies, st.lists(st.floats(0, 500), max_size=60))
def test_no_window_holds_more_restarts_than_allowed(policy: Restarts, gaps: list[float]) -> None:
    now = 0.0
    remembered: tuple[float, ...] = ()
    admitted: list[float] = []
    for gap in gaps:
        now += gap
        verdict = admit_restart(remembered, now, policy)
        in_window = [at for at in admitted if now - at <= policy.window_s]
        assert (verdict is not None) == (len(in_window) < policy.max_restarts)
        if verdict is not None:
            remembered = verdict
            admitted.append(now)
        assert len(remembered) <= policy.max_restarts
    for first in admitted:
        within = [at for at in admitted if 0 <= at - first <= policy.window_s]
        assert len(within) <= policy.max_restarts


@given(policies, st.integers(1, 10_000), st.floats(0, 1))
def test_a_delay_stays_within_its_bounds(policy: Restarts, attempt: int, chance: float) -> None:
    delay = backoff_s(attempt, chance, policy)
    assert 0 <= delay <= policy.backoff_max_s
    assert delay >= policy.backoff_s * (1 - policy.jitter) * (1 - 1e-9)


@given(policies, st.integers(1, 100), st.floats(0, 1))
def test_delays_do_not_shrink_as_attempts_go_up(
    policy: Restarts, attempt: int, chance: float
) -> None:
    assert backoff_s(attempt, chance, policy) <= backoff_s(attempt + 1, chance, policy)


def test_the_delay_doubles_and_is_spread_by_chance() -> None:
    policy = Restarts(backoff_s=0.1, backoff_max_s=1.0, jitter=0.5)
    assert [backoff_s(n, 0.5, policy) for n in (1, 2, 3, 4, 5)] == [0.1, 0.2, 0.4, 0.8, 1.0]
    assert backoff_s(1, 0.0, policy) == pytest.approx(0.05)
    assert backoff_s(1, 1.0, policy) == pytest.approx(0.15)
    assert backoff_s(9, 1.0, policy) == 1.0


@given(policies, st.integers(0, 100), seconds)
def test_attempts_count_anew_after_a_window_in_good_health(
    policy: Restarts, attempt: int, up_s: float
) -> None:
    expected = 1 if up_s >= policy.window_s else attempt + 1
    assert count_attempt(attempt, up_s, policy) == expected


@pytest.mark.parametrize(
    ("restart", "after_failure", "after_return"),
    [("permanent", True, True), ("transient", True, False), ("temporary", False, False)],
)
def test_who_wants_a_restart(restart: RestartType, after_failure: bool, after_return: bool) -> None:
    assert wants_restart(restart, failed=True) is after_failure
    assert wants_restart(restart, failed=False) is after_return


@given(st.sampled_from(get_args(Strategy)), st.lists(members, min_size=1, max_size=8), st.data())
def test_a_plan_touches_whom_the_strategy_says(
    strategy: Strategy, tree: list[Member], data: st.DataObject
) -> None:
    failed = data.draw(st.integers(0, len(tree) - 1))
    tree[failed] = Member("permanent", "down")
    plan = plan_restart(strategy, tree, failed)

    reach = {
        "one_for_one": {failed},
        "one_for_all": set(range(len(tree))),
        "rest_for_one": set(range(failed, len(tree))),
    }[strategy]
    assert failed in plan.start
    assert failed not in plan.stop
    assert list(plan.stop) == sorted(plan.stop, reverse=True)
    assert list(plan.start) == sorted(plan.start)
    assert set(plan.stop) == {i for i in reach if tree[i].standing == "up"}
    for i, member in enumerate(tree):
        if i != failed:
            stays = member.standing == "done" or member.restart == "temporary"
            assert (i in plan.start) == (i in reach and not stays)


@given(st.sampled_from(get_args(Strategy)), st.integers(1, 8))
def test_mending_one_by_one_mends_everyone(strategy: Strategy, count: int) -> None:
    down = random.Random(count).sample(range(count), count)
    tree = [Member("permanent", "down")] * count
    started: set[int] = set()
    while down:
        plan = plan_restart(strategy, tree, next_to_restart(strategy, down))
        started |= set(plan.start)
        assert len(set(down) - set(plan.start)) < len(down)
        down = [i for i in down if i not in plan.start]
    assert started == set(range(count))


def test_rest_for_one_mends_the_foundation_first() -> None:
    assert next_to_restart("rest_for_one", [3, 1, 2]) == 1
    assert next_to_restart("one_for_one", [3, 1, 2]) == 3
