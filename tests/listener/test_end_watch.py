"""When a member of a group has read all that was there."""

from collections.abc import Callable

import anyio
import pytest
from attrs import evolve

from sdml_kafka import ListenerStatus, TopicPartition
from sdml_kafka.dead_letters.group_watch import GroupWatch
from sdml_kafka.listener.end_watch import EndWatch
from sdml_kafka.listener.status import Counters
from sdml_kafka.runtime import ActorState
from tests.support.demo_frames import actor, partition_status
from tests.support.virtual_time import in_virtual_time

PATIENCE_S = 30.0


def status_of(lags: list[int], assignments: int = 1) -> ListenerStatus:
    """Return the status of a member that lags so far behind the ends of its partitions."""
    return ListenerStatus(
        tree=actor("listener", ActorState.RUNNING, 0, 0),
        connected=True,
        partitions={
            TopicPartition("orders", number): partition_status(lag=lag)
            for number, lag in enumerate(lags)
        },
        missing_topics=frozenset(),
        counters=Counters(0, 0, 0, 0, 0, rebalances=assignments),
    )


def test_a_member_is_not_done_between_two_assignments() -> None:
    watch = EndWatch()
    assert not watch.is_done(status_of([5]))
    assert not watch.is_done(status_of([]))
    assert not watch.is_done(status_of([5], assignments=2))
    assert not watch.is_done(status_of([], assignments=2))
    assert watch.is_done(status_of([0], assignments=3))


def test_a_member_without_partitions_is_done() -> None:
    assert EndWatch().is_done(status_of([]))
    watch = EndWatch()
    assert not watch.is_done(status_of([5]))
    assert watch.is_done(status_of([], assignments=2))  # others have what it had


async def time_of_end(watch: GroupWatch, status: Callable[[], ListenerStatus]) -> float:
    with anyio.fail_after(10 * PATIENCE_S):
        began_at, ends = anyio.current_time(), list[float]()
        await watch.run(status, lambda: ends.append(anyio.current_time()))
    assert len(ends) == 1
    return ends[0] - began_at


@pytest.mark.anyio
@in_virtual_time
async def test_the_partitions_of_a_member_that_is_gone_are_waited_for() -> None:
    began_at = anyio.current_time()

    def status() -> ListenerStatus:
        """Give it the other partition after 10 s, and let that be done after 60 s."""
        passed_s = anyio.current_time() - began_at
        if passed_s < 10.0:
            return status_of([0])
        return status_of([0, 0 if passed_s > 60.0 else 5], assignments=2)

    watch = GroupWatch(2, PATIENCE_S)
    assert await time_of_end(watch, status) > 60.0
    assert not watch.is_partial


@pytest.mark.anyio
@in_virtual_time
async def test_the_partitions_of_another_run_are_left_to_it() -> None:
    watch = GroupWatch(2, PATIENCE_S)
    assert PATIENCE_S <= await time_of_end(watch, lambda: status_of([0])) < PATIENCE_S + 1.0
    assert watch.is_partial


def test_a_connection_that_is_lost_is_waited_for() -> None:
    assert not EndWatch().is_done(evolve(status_of([0]), connected=False))
