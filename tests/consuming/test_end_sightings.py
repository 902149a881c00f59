"""Bounds of a record's age against the whole history of a log and of who looked when."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.consuming.end_sightings import MAX_SIGHTINGS, EndSightings

STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "look", "ask"]), st.integers(1, 5), st.integers(0, 3)),
    max_size=80,
)


@given(steps=STEPS, lag_s=st.integers(0, 3))
def test_records_came_between_the_bounds(steps: list[tuple[str, int, int]], lag_s: int) -> None:
    """Each look learns of an end that may be some seconds old."""
    came_at, ends = list[float](), [(0.0, 0)]
    sightings, asked_to, now = EndSightings(0), 0, 0.0
    for kind, count, seconds in steps:
        now += seconds
        if kind == "append":
            came_at += [now] * count
            ends.append((now, len(came_at)))
        elif kind == "look":
            then = max(0.0, now - lag_s)
            sightings.note([end for at, end in ends if at <= then][-1], then, now)
        elif asked_to < len(came_at):
            last = min(asked_to + count, len(came_at)) - 1
            after, there = sightings.bounds(asked_to, last, now)
            assert all(after <= at <= there for at in came_at[asked_to : last + 1])
            asked_to = last + 1


def test_the_bounds_are_those_of_the_nearest_sightings() -> None:
    sightings = EndSightings(0)
    assert sightings.bounds(0, 0, 1.0) == (-inf, 1.0)
    sightings.note(1, 2.0, 2.5)
    sightings.note(1, 3.0, 3.5)
    sightings.note(4, 4.0, 4.5)
    sightings.note(9, 5.0, 5.5)
    assert sightings.bounds(1, 3, 8.0) == (3.0, 4.5)
    assert sightings.bounds(4, 4, 8.0) == (4.0, 5.5)
    assert sightings.bounds(5, 9, 8.0) == (4.0, 8.0)


def test_another_log() -> None:
    sightings = EndSightings(100)
    sightings.note(100, 1.0, 1.0)
    assert sightings.bounds(5, 5, 9.0) == (-inf, 9.0)
    sightings.note(100, 10.0, 10.0)
    sightings.note(50, 11.0, 11.0)
    assert sightings.bounds(20, 20, 12.0) == (-inf, 11.0)


def test_the_sightings_of_a_log_that_nobody_reads_stay_few() -> None:
    sightings = EndSightings(0)
    for end in range(10_000):
        sightings.note(end, end, end)
    after, there = sightings.bounds(5000, 5000, 20_000.0)
    assert after <= 5000 <= there < 20_000
    assert len(sightings._seen) <= MAX_SIGHTINGS
