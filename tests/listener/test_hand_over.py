"""A partition that is revoked: drained, committed, released; a lost member commits nothing."""

import anyio
import pytest

from sdml_kafka import CommitRejected
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    take,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_a_revoked_partition_is_drained_committed_and_released() -> None:
    broker = broker_with(*"abc", partitions=2)
    async with listener_on(broker) as listener:
        gate = Gate()
        async with loops(await listener.subscribe(str), work=gate) as (loop,):
            await until(lambda: gate.arrived)
            broker.rebalance(GROUP)
            await anyio.sleep(1)
            assert broker.generation(GROUP) == 1
            assert broker.committed(GROUP, P0) == 0
            gate.open()
            await until(lambda: broker.generation(GROUP) == 2)
            assert broker.committed(GROUP, P0) == 1
            await loop.has_seen(3)
            assert loop.seen == ["a", "b", "c"]
        assert listener.status().counters.late_finishes == 0
        assert listener.status().counters.rebalances == 2


async def test_another_member_joins_and_nothing_is_seen_twice() -> None:
    broker = broker_with(*map(str, range(200)), partitions=2)
    fill(broker, range(200, 400), partition=1)

    async def work(_: object) -> None:
        await anyio.sleep(0.05)

    async with (
        listener_on(broker) as first,
        loops(await first.subscribe(str), work=work) as (one,),
    ):
        await one.has_seen(50)
        async with listener_on(broker) as second:
            assert first.assigned_table() == {TOPIC: [0]}
            assert second.assigned_table() == {TOPIC: [1]}
            async with loops(await second.subscribe(str), work=work) as (two,):
                await two.has_seen(50)
                await second.commit()
            # The loop was cancelled with an item in hand, which the first listener gets.
        await until(lambda: first.status().counters.finished + len(two.seen) - 1 == 400)
        assert first.assigned_table() == {TOPIC: [0, 1]}
    assert sorted(one.seen + two.seen[:-1], key=int) == [str(number) for number in range(400)]


async def test_a_handler_slower_than_the_drain_finishes_late_and_moves_nothing() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker, drain_timeout=2.0) as listener:
        gate = Gate()
        async with loops(await listener.subscribe(str), work=gate) as (loop,):
            await until(lambda: gate.arrived)
            began = anyio.current_time()
            broker.rebalance(GROUP)
            await until(lambda: broker.generation(GROUP) == 2)
            assert 2.0 <= anyio.current_time() - began < 2.5
            assert broker.committed(GROUP, P0) == 0
            gate.open()
            await loop.has_seen(4)
            assert loop.seen == ["a", "a", "b", "c"]
            await until(lambda: listener.status().counters.finished == 3)
        assert listener.status().counters.late_finishes == 1
    assert [commit.offset for commit in broker.commits] == sorted(
        commit.offset for commit in broker.commits
    )
    assert broker.committed(GROUP, P0) == 3


async def test_a_member_that_was_expelled_commits_nothing() -> None:
    broker = broker_with(*"abcd")
    async with listener_on(broker) as listener:
        gate = Gate()
        stream = await listener.subscribe(str)
        assert await take(stream, 1) == ["a"]
        async with loops(stream, work=gate) as (loop,):
            await until(lambda: gate.arrived)
            commits = len(broker.commits)
            broker.expel(f"{GROUP}-1")
            await until(lambda: listener.status().counters.rebalances == 2)
            assert len(broker.commits) == commits
            gate.open()
            await until(lambda: len(loop.seen) == 5)
            assert loop.seen == ["b", "a", "b", "c", "d"]
        assert listener.status().counters.late_finishes >= 1


async def test_a_commit_of_a_member_that_was_expelled_unnoticed_is_refused() -> None:
    broker = broker_with(*"ab")
    async with listener_on(broker, auto_commit={"every": 100}) as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["a"]
        broker.expel(f"{GROUP}-1", unnoticed_for_s=30.0)
        with pytest.raises(CommitRejected):
            await listener.commit()
        await until(lambda: listener.status().counters.rebalances == 2)
        assert broker.committed(GROUP, P0) == 0
        assert await take_last(await listener.subscribe(str), 2) == ["a", "b"]


async def test_nothing_is_committed_between_a_release_and_the_next_assignment() -> None:
    broker = broker_with(*map(str, range(100)), partitions=2)
    fill(broker, range(100), partition=1)
    async with listener_on(broker, auto_commit={"every": 1}) as first:
        stream = await first.subscribe(str)
        async with loops(stream, stream, work=lambda _: anyio.sleep(0.01)):
            for _ in range(5):
                async with listener_on(broker, auto_commit={"every": 1}) as second:
                    await take(await second.subscribe(str), 3)
                await anyio.sleep(0.1)
    # The broker checks each commit against its assignment and keeps those that it takes.
    assert len({commit.generation for commit in broker.commits}) > 5
    for partition in (P0, P1):
        offsets = [commit.offset for commit in broker.commits if commit.partition == partition]
        assert offsets == sorted(offsets)


async def test_a_commit_under_way_is_waited_for_before_the_partition_is_released() -> None:
    broker = broker_with(*"abc")
    broker.slow_down(commit_s=0.5)
    async with listener_on(broker, auto_commit={"every": 1}) as listener:
        assert await take_last(await listener.subscribe(str), 2) == ["a", "b"]
        broker.rebalance(GROUP)
        await until(lambda: broker.generation(GROUP) == 2)
        assert broker.committed(GROUP, P0) == 2
        assert await take_last(await listener.subscribe(str), 1) == ["c"]
    assert broker.committed(GROUP, P0) == 3
