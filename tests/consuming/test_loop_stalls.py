"""When an event loop that stands still is worth a line."""

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.consuming.loop_stalls import MAX_SHARE, WINDOW_S, LoopStalls, Stall

TICK_S = 0.5


def stalls_of(delays: list[float], limit_s: float = 10.0) -> list[Stall]:
    """Return what is said when timers fire so many seconds late, one after the other."""
    loop, now, said = LoopStalls(limit_s), 1000.0, list[Stall]()
    for late in delays:
        due = now + TICK_S
        now = due + late
        if (stall := loop.fired(due, now)) is not None:
            said.append(stall)
    return said


def test_a_loop_that_runs_says_nothing() -> None:
    assert stalls_of([0.0, 0.01, 0.2] * 100) == []


def test_half_of_what_the_group_allows_is_said() -> None:
    assert stalls_of([2.9], limit_s=6.0) == []
    assert stalls_of([3.0], limit_s=6.0) == [Stall(3.0, 1)]


def test_five_seconds_are_said_whatever_the_group_allows() -> None:
    assert stalls_of([4.9], limit_s=300.0) == []
    assert stalls_of([5.0], limit_s=300.0) == [Stall(5.0, 1)]


def test_short_stalls_that_take_most_of_the_time_are_said() -> None:
    (stall, *_) = stalls_of([2.0] * 12)
    assert stall.times == 8
    assert stall.seconds == 16.0


def test_short_stalls_that_take_a_third_of_the_time_are_not() -> None:
    assert stalls_of([1.0, 0.0, 0.0, 0.0] * 100) == []


@given(st.lists(st.floats(0.0, 4.9)))
def test_what_is_said_of_many_is_more_than_half_of_the_window(delays: list[float]) -> None:
    for stall in stalls_of(delays):
        assert stall.times > 1
        assert stall.seconds > MAX_SHARE * WINDOW_S


@given(st.lists(st.floats(0.0, 100.0)))
def test_what_is_said_is_bounded_by_what_was(delays: list[float]) -> None:
    assert sum(stall.seconds for stall in stalls_of(delays)) <= sum(delays) + 1e-6
