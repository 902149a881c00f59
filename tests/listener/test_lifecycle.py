"""Entering, leaving, handing over, committing: on the twin, in virtual time."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import anyio
import pytest

from sdml_kafka import (
    AutoCommit,
    BrokerUnreachable,
    ClientClosed,
    ClientNotStarted,
    CommitFailed,
    CommitRejected,
    ConsumerFailed,
    RestartsExhausted,
    TopicPartition,
)
from sdml_kafka.policies import Restarts
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TEXTS,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    take,
    take_last,
    task_count,
    until,
)
from tests.support.virtual_time import in_virtual_time, on_asyncio, on_trio

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


# -- handing over ------------------------------------------------------------------------


@in_virtual_time
async def test_a_hand_over_waits_for_what_is_in_hand_commits_it_and_lets_go() -> None:
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


@in_virtual_time
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
            # Its loop was cancelled with an item in hand, which the other one gets.
        await until(lambda: first.status().counters.finished + len(two.seen) - 1 == 400)
        assert first.assigned_table() == {TOPIC: [0, 1]}
    assert sorted(one.seen + two.seen[:-1], key=int) == [str(number) for number in range(400)]


@in_virtual_time
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


@in_virtual_time
async def test_a_member_that_was_thrown_out_commits_nothing() -> None:
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


@in_virtual_time
async def test_a_commit_of_a_member_that_was_thrown_out_unnoticed_is_refused() -> None:
    broker = broker_with(*"ab")
    async with listener_on(broker, auto_commit={"every": 100}) as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["a"]
        broker.expel(f"{GROUP}-1", unnoticed_for_s=30.0)
        with pytest.raises(CommitRejected):
            await listener.commit()
        await until(lambda: listener.status().counters.rebalances == 2)
        assert broker.committed(GROUP, P0) == 0
        assert await take_last(await listener.subscribe(str), 2) == ["a", "b"]


@in_virtual_time
async def test_nothing_is_committed_between_letting_go_and_the_next_assignment() -> None:
    broker = broker_with(*map(str, range(100)), partitions=2)
    fill(broker, range(100), partition=1)
    async with listener_on(broker, auto_commit={"every": 1}) as first:
        stream = await first.subscribe(str)
        async with loops(stream, stream, work=lambda _: anyio.sleep(0.01)):
            for _ in range(5):
                async with listener_on(broker, auto_commit={"every": 1}) as second:
                    await take(await second.subscribe(str), 3)
                await anyio.sleep(0.1)
    # The broker checks each commit against the assignment it belongs to; those counted here.
    assert len({commit.generation for commit in broker.commits}) > 5
    for partition in (P0, P1):
        offsets = [commit.offset for commit in broker.commits if commit.partition == partition]
        assert offsets == sorted(offsets)


@in_virtual_time
async def test_a_commit_under_way_is_waited_for_before_the_partition_is_let_go() -> None:
    broker = broker_with(*"abc")
    broker.slow_down(commit_s=0.5)
    async with listener_on(broker, auto_commit={"every": 1}) as listener:
        assert await take_last(await listener.subscribe(str), 2) == ["a", "b"]
        broker.rebalance(GROUP)
        await until(lambda: broker.generation(GROUP) == 2)
        assert broker.committed(GROUP, P0) == 2
        assert await take_last(await listener.subscribe(str), 1) == ["c"]
    assert broker.committed(GROUP, P0) == 3


@in_virtual_time
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_rebalance_listener_is_told_after_the_drain(is_async: bool) -> None:
    broker = broker_with(*"ab")
    told: list[tuple[str, set[TopicPartition]]] = []

    class Plain:
        def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:
            told.append(("assigned", partitions))

        def on_partitions_revoked(self, partitions: set[TopicPartition]) -> None:
            told.append(("revoked", partitions))

    class Async:
        async def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:
            await anyio.sleep(0.1)
            told.append(("assigned", partitions))

        async def on_partitions_revoked(self, partitions: set[TopicPartition]) -> None:
            await anyio.sleep(0.1)
            told.append(("revoked", partitions))

    gate = Gate()
    async with listener_on(broker, rebalance_listener=Async() if is_async else Plain()) as listener:
        assert told == [("assigned", {P0})]
        async with loops(await listener.subscribe(str), work=gate):
            await until(lambda: gate.arrived)
            broker.rebalance(GROUP)
            await anyio.sleep(1)
            assert told == [("assigned", {P0})]
            gate.open()
            await until(lambda: len(told) == 3)
    assert told[1:3] == [("revoked", {P0}), ("assigned", {P0})]


@in_virtual_time
async def test_a_rebalance_listener_hears_of_partitions_that_were_lost() -> None:
    broker, told = broker_with(*"ab"), list[str]()

    class Listener:
        def on_partitions_assigned(self, _: object) -> None:
            told.append("assigned")

        def on_partitions_revoked(self, _: object) -> None:
            told.append("revoked")

    async with listener_on(broker, rebalance_listener=Listener()):
        broker.expel(f"{GROUP}-1")
        await until(lambda: len(told) == 3)
    assert told[:3] == ["assigned", "revoked", "assigned"]


@in_virtual_time
async def test_a_rebalance_listener_that_raises_or_hangs_holds_up_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = broker_with(*"ab")

    class Listener:
        def on_partitions_assigned(self, _: object) -> None:
            raise KeyError("boom")

        async def on_partitions_revoked(self, _: object) -> None:
            await anyio.sleep_forever()

    async with listener_on(broker, rebalance_listener=Listener()) as listener:
        stream = await listener.subscribe(str)
        assert await take_last(stream, 1) == ["a"]
        broker.rebalance(GROUP)
        await until(lambda: listener.status().counters.rebalances == 2)
        assert broker.committed(GROUP, P0) == 1
        assert await take_last(stream, 1) == ["b"]
    assert "the rebalance listener raised" in caplog.text
    assert broker.committed(GROUP, P0) == 2


# -- committing --------------------------------------------------------------------------


def times_of(broker: MemoryBroker) -> list[int]:
    return [commit.offset for commit in broker.commits if commit.offset]


@in_virtual_time
async def test_every_n_commits_after_n_records_finished_by_the_listener() -> None:
    broker = broker_with(*map(str, range(10)), partitions=2)
    fill(broker, range(10), partition=1)
    async with listener_on(broker, auto_commit={"every": 5}) as listener:
        stream = await listener.subscribe(str)
        for count in range(1, 21):
            await take_last(stream, 1)
            await anyio.sleep(10)
            done = (broker.committed(GROUP, P0) or 0) + (broker.committed(GROUP, P1) or 0)
            assert done == count // 5 * 5


@in_virtual_time
async def test_interval_s_commits_after_that_time() -> None:
    broker = broker_with(*map(str, range(100)))
    async with listener_on(broker, auto_commit=AutoCommit(interval_s=7.0)) as listener:
        began = anyio.current_time()
        assert len(await take_last(await listener.subscribe(str), 50)) == 50
        await until(lambda: broker.committed(GROUP, P0) == 50)
        assert 6.5 < anyio.current_time() - began < 7.5


@in_virtual_time
async def test_with_both_what_comes_first_commits() -> None:
    broker = broker_with(*map(str, range(100)))
    async with listener_on(broker, auto_commit={"every": 10, "interval_s": 5.0}) as listener:
        stream = await listener.subscribe(str)
        began = anyio.current_time()
        await take_last(stream, 10)
        await until(lambda: broker.committed(GROUP, P0) == 10)
        assert anyio.current_time() - began < 1
        await take_last(stream, 3)
        await until(lambda: broker.committed(GROUP, P0) == 13)
        assert 4 < anyio.current_time() - began < 6


@in_virtual_time
async def test_without_auto_commit_the_interval_is_the_consumers_own() -> None:
    broker = broker_with("a")
    async with listener_on(broker, auto_commit_interval_s=3.0) as listener:
        began = anyio.current_time()
        await take_last(await listener.subscribe(str), 1)
        await until(lambda: broker.committed(GROUP, P0) == 1)
        assert 2.5 < anyio.current_time() - began < 3.5


@in_virtual_time
async def test_with_auto_commit_off_only_commit_commits_leaving_included() -> None:
    broker = broker_with(*"abcd")
    async with listener_on(broker, auto_commit_interval_s=None) as listener:
        stream = await listener.subscribe(str)
        await take_last(stream, 2)
        await anyio.sleep(100)
        assert broker.committed(GROUP, P0) is None
        await listener.commit()
        assert broker.committed(GROUP, P0) == 2
        await take_last(stream, 1)
        broker.rebalance(GROUP)
        await until(lambda: listener.status().counters.rebalances == 2)
        assert broker.committed(GROUP, P0) == 2
        await take_last(stream, 1)
    assert broker.committed(GROUP, P0) == 2


@in_virtual_time
async def test_auto_commit_overrides_a_consumer_with_it_off() -> None:
    broker = broker_with(*"ab")
    async with listener_on(
        broker, auto_commit_interval_s=None, auto_commit={"every": 100}
    ) as listener:
        await take_last(await listener.subscribe(str), 2)
    assert broker.committed(GROUP, P0) == 2


@in_virtual_time
async def test_a_commit_while_nothing_has_finished_asks_nobody() -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener:
        commits = len(broker.commits)
        broker.down()
        await listener.commit()
        assert len(broker.commits) == commits
        broker.up()


@in_virtual_time
async def test_a_commit_while_the_broker_is_down_fails_in_time_and_goes_through_later() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker, auto_commit={"every": 1, "interval_s": 2.0}) as listener:
        stream = await listener.subscribe(str)
        await take_last(stream, 1)
        broker.down()
        began = anyio.current_time()
        await take_last(stream, 1)
        with pytest.raises(CommitFailed):
            await listener.commit()
        assert anyio.current_time() - began <= 10.1
        assert not listener.status().connected
        broker.up()
        await until(lambda: broker.committed(GROUP, P0) == 2)


@in_virtual_time
async def test_a_commit_that_failed_is_tried_again_by_the_schedule() -> None:
    broker = broker_with("a")
    async with listener_on(broker, auto_commit={"every": 1}) as listener:
        broker.fail_commits(times=3)
        await take_last(await listener.subscribe(str), 1)
        await until(lambda: broker.committed(GROUP, P0) == 1)


@in_virtual_time
async def test_commits_of_many_tasks_take_turns() -> None:
    broker = broker_with(*"abc")
    broker.slow_down(commit_s=0.1)
    async with listener_on(broker) as listener:
        await take_last(await listener.subscribe(str), 3)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(listener.commit)
    assert times_of(broker) == [3]


# -- leaving -----------------------------------------------------------------------------


@in_virtual_time
async def test_leaving_does_not_wait_for_an_item_whose_loop_broke_off_in_the_leaving_task() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener:
        async for value in await listener.subscribe(str):
            if value == "b":
                break
        left_at = anyio.current_time()
    assert anyio.current_time() - left_at < 0.5
    assert broker.committed(GROUP, P0) == 1


@in_virtual_time
async def test_leaving_does_not_wait_for_an_item_that_the_leaving_task_pulled() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        assert [await anext(stream), await anext(stream)] == ["a", "b"]
        left_at = anyio.current_time()
    assert anyio.current_time() - left_at < 0.5
    assert broker.committed(GROUP, P0) == 1


@in_virtual_time
async def test_loops_in_other_tasks_end_quietly_and_get_their_time() -> None:
    broker = broker_with(*"abc")
    async with anyio.create_task_group() as tasks:
        async with listener_on(broker, drain_timeout=3.0) as listener:
            gate = Gate()
            busy = await listener.subscribe(str)

            async def work() -> None:
                async for value in busy:
                    await gate(value)
                ended.set()

            async def wait() -> None:
                async for _ in await listener.subscribe(str, fresh=True):
                    pass
                waiting_ended.set()

            ended, waiting_ended = anyio.Event(), anyio.Event()
            tasks.start_soon(work)
            tasks.start_soon(wait)
            await until(lambda: gate.arrived)

            async def open_later() -> None:
                await anyio.sleep(2)
                gate.open()

            tasks.start_soon(open_later)
            left_at = anyio.current_time()
        assert 1.9 < anyio.current_time() - left_at < 2.5
        assert broker.committed(GROUP, P0) == 1
        await ended.wait()
        await waiting_ended.wait()
    assert gate.arrived == ["a"]


@in_virtual_time
async def test_a_loop_that_takes_longer_than_its_time_is_not_waited_for() -> None:
    broker = broker_with(*"abc")
    async with anyio.create_task_group() as tasks:
        async with listener_on(broker, drain_timeout=3.0) as listener:
            gate = Gate()
            stream = await listener.subscribe(str)

            async def work() -> None:
                async for value in stream:
                    await gate(value)

            tasks.start_soon(work)
            await until(lambda: gate.arrived)
            left_at = anyio.current_time()
        assert 2.9 < anyio.current_time() - left_at < 3.5
        gate.open()
    assert broker.committed(GROUP, P0) == 0
    assert listener.status().counters.late_finishes == 1


@in_virtual_time
async def test_an_exception_of_the_body_comes_out_as_itself_and_what_finished_is_committed() -> (
    None
):
    broker, boom = broker_with(*"abc"), KeyError("boom")
    with pytest.raises(KeyError) as caught:
        async with listener_on(broker) as listener:
            async for value in await listener.subscribe(str):
                if value == "c":
                    raise boom
    assert caught.value is boom
    assert broker.committed(GROUP, P0) == 2


@in_virtual_time
async def test_cancellation_from_outside_commits_what_finished_and_waits_for_no_loop() -> None:
    broker = broker_with(*"abc")
    gate = Gate()
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as outside:
            async with listener_on(broker) as listener:
                stream = await listener.subscribe(str)
                assert await take(stream, 2) == ["a", "b"]

                async def work() -> None:
                    async for value in stream:
                        await gate(value)

                tasks.start_soon(work)
                await until(lambda: gate.arrived)
                began = anyio.current_time()
                outside.cancel()
                await anyio.sleep_forever()
        assert outside.cancelled_caught
        assert anyio.current_time() - began < 0.5
        assert broker.committed(GROUP, P0) == 2
        assert broker.members(GROUP) == {}
        gate.open()


@in_virtual_time
async def test_cancellation_with_the_broker_gone_is_bounded_in_time() -> None:
    broker = broker_with(*"abc")
    with anyio.CancelScope() as outside:
        async with listener_on(broker) as listener:
            await take(await listener.subscribe(str), 2)
            broker.down()
            began = anyio.current_time()
            outside.cancel()
            await anyio.sleep_forever()
    assert anyio.current_time() - began < 10


@in_virtual_time
async def test_the_body_may_commit_in_its_cleanup_when_it_is_cancelled() -> None:
    broker = broker_with(*"abc")
    with anyio.CancelScope() as outside:
        async with listener_on(broker, auto_commit_interval_s=None) as listener:
            await take(await listener.subscribe(str), 2)
            try:
                outside.cancel()
                await anyio.sleep_forever()
            finally:
                with anyio.move_on_after(5, shield=True):
                    await listener.commit()
    assert broker.committed(GROUP, P0) == 2


@in_virtual_time
async def test_what_was_left_can_be_used_for_nothing_and_says_so() -> None:
    broker = broker_with(*"abc")
    listener = listener_on(broker)
    async with listener:
        stream = await listener.subscribe(str)
    with pytest.raises(ClientClosed, match="make and enter a new one"):
        await listener.subscribe(str)
    with pytest.raises(ClientClosed, match="nothing to commit"):
        await listener.commit()
    with pytest.raises(ClientClosed, match="entered once"):
        async with listener:
            pytest.fail("entered")
    assert [value async for value in stream] == []
    assert listener.assigned_table() == {}
    assert not listener.status().connected
    await stream.aclose()


@in_virtual_time
async def test_entering_twice_is_an_error_and_the_first_one_goes_on() -> None:
    broker = broker_with("a")
    listener = listener_on(broker)
    async with listener:
        with pytest.raises((ClientClosed, RuntimeError), match=r"entered"):
            async with listener:
                pytest.fail("entered")
        assert await take_last(await listener.subscribe(str), 1) == ["a"]


@in_virtual_time
async def test_a_commit_before_it_is_entered_says_so() -> None:
    with pytest.raises(ClientClosed, match="not running"):
        await listener_on(broker_with()).commit()


@in_virtual_time
async def test_a_stream_is_closed_while_another_task_waits_for_it() -> None:
    broker = MemoryBroker({TOPIC: 1})
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        ended = []

        async def wait() -> None:
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
            ended.append(True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
    assert ended == [True]


@in_virtual_time
async def test_entering_with_no_broker_is_a_clear_error_in_time() -> None:
    broker = broker_with()
    broker.down()
    began = anyio.current_time()
    with pytest.raises(BrokerUnreachable):
        async with listener_on(broker, start_timeout=4.0):
            pytest.fail("entered")
    assert 3.0 < anyio.current_time() - began < 5.5


@in_virtual_time
async def test_a_broker_that_comes_within_the_start_timeout_is_waited_for() -> None:
    broker = broker_with("a")
    broker.fail_starts(BrokerUnreachable("refused"), times=5)
    async with listener_on(broker) as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["a"]
        assert listener.status().counters.restarts == 0


@in_virtual_time
async def test_a_member_without_partitions_is_ready_too() -> None:
    broker = broker_with(*"ab")
    async with listener_on(broker) as first:
        async with listener_on(broker) as second:
            assert {len(first.assigned_table()), len(second.assigned_table())} == {0, 1}
        assert await take_last(await first.subscribe(str), 2) == ["a", "b"]


@in_virtual_time
async def test_with_latest_what_comes_after_entering_arrives() -> None:
    broker = broker_with("before")
    async with listener_on(broker, auto_offset_reset="latest") as listener:
        fill(broker, ["after"])
        assert await take_last(await listener.subscribe(str), 1) == ["after"]


@in_virtual_time
async def test_with_latest_what_comes_between_two_runs_arrives() -> None:
    broker = broker_with("before")
    async with listener_on(broker, auto_offset_reset="latest"):
        pass
    fill(broker, ["between"])
    async with listener_on(broker, auto_offset_reset="latest") as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["between"]


@in_virtual_time
async def test_a_hundred_times_in_and_out_leave_no_task() -> None:
    broker = broker_with(*map(str, range(100)))
    tasks, seen, listeners = task_count(), [], []
    for _ in range(100):
        async with listener_on(broker) as listener:
            listeners.append(ref(listener))
            seen += await take_last(await listener.subscribe(str), 1)
    assert seen == [str(number) for number in range(100)]
    assert task_count() == tasks
    assert broker.members(GROUP) == {}
    del listener
    gc.collect()
    assert not [listener for listener in listeners if listener() is not None]


@in_virtual_time
async def test_several_listeners_in_one_program_go_their_own_ways() -> None:
    broker = MemoryBroker({TOPIC: 1, "other": 1})
    fill(broker, "abc")
    fill(broker, "xyz", topic="other")
    others = {**TEXTS, "topics": ["other"]}
    async with (
        listener_on(broker) as first,
        listener_on(broker, parsers=[others], group="second") as second,  # type: ignore[list-item]
        listener_on(broker, group="third") as third,
    ):
        streams = [await each.subscribe(str) for each in (first, second, third)]
        seen = [await take_last(stream, 3) for stream in streams]
    assert seen == [["a", "b", "c"], ["x", "y", "z"], ["a", "b", "c"]]


def test_a_listener_may_be_made_where_no_event_loop_runs() -> None:
    broker = broker_with("a")
    listener = listener_on(broker)

    async def main() -> list[str]:
        async with listener:
            return await take_last(await listener.subscribe(str), 1)

    assert anyio.run(main) == ["a"]


# -- start() and stop() ------------------------------------------------------------------


@on_asyncio
async def test_start_and_stop_do_the_same_as_async_with() -> None:
    broker = broker_with(*"abc")
    tasks = task_count()
    listener = listener_on(broker)
    await listener.start()
    await listener.start()  # again is harmless
    assert await take(await listener.subscribe(str), 2) == ["a", "b"]
    await listener.stop()
    await listener.stop()
    assert broker.committed(GROUP, P0) == 2
    assert broker.members(GROUP) == {}
    assert task_count() == tasks


@on_asyncio
async def test_stop_gives_loops_in_other_tasks_their_time_and_ends_them_quietly() -> None:
    broker = broker_with(*"abc")
    listener = listener_on(broker)
    await listener.start()
    gate = Gate()
    async with loops(await listener.subscribe(str), work=gate) as (loop,):
        await until(lambda: gate.arrived)
        asyncio.get_running_loop().call_later(1.0, gate.open)
        await listener.stop()
        assert broker.committed(GROUP, P0) == 1
        await loop.ended.wait()
        assert loop.error is None
        assert loop.seen == ["a"]


@on_asyncio
async def test_a_start_that_takes_too_long_for_its_caller_leaves_no_task() -> None:
    broker = broker_with()
    broker.down()
    tasks = task_count()
    with anyio.move_on_after(1.0) as scope:
        await listener_on(broker).subscribe(str)
    assert scope.cancelled_caught
    assert task_count() == tasks


@on_asyncio
async def test_subscribe_on_one_that_was_not_started_starts_it() -> None:
    broker = broker_with(*"abc")
    listener = listener_on(broker)
    first, second = await asyncio.gather(listener.subscribe(str), listener.subscribe(str))
    assert await take_last(first, 1) == ["a"]
    assert await take_last(second, 2) == ["b", "c"]
    await listener.stop()
    assert broker.committed(GROUP, P0) == 3
    for attempt in (listener.subscribe, lambda _: listener.start()):
        with pytest.raises(ClientClosed, match="make and enter a new one"):
            await attempt(str)


@on_asyncio
async def test_a_failure_comes_out_of_the_loops_and_of_stop() -> None:
    broker, boom = broker_with(*"abc"), KeyError("boom")
    listener = listener_on(broker)
    stream = await listener.subscribe(str)
    async with loops(await listener.subscribe(str, fresh=True)) as (loop,):
        async for delivery in stream.deliveries():
            delivery.fail(boom)
            break
        await loop.ended.wait()
        assert loop.error is boom
    with pytest.raises(KeyError) as caught:
        await listener.stop()
    assert caught.value is boom


@on_asyncio
async def test_a_start_that_fails_says_why_and_leaves_nothing_behind() -> None:
    broker = broker_with()
    broker.down()
    tasks = task_count()
    listener = listener_on(broker, start_timeout=2.0)
    with pytest.raises(BrokerUnreachable):
        await listener.start()
    assert task_count() == tasks
    with pytest.raises(ClientClosed):
        await listener.subscribe(str)


@on_asyncio
async def test_a_start_that_is_cancelled_leaves_nothing_behind_and_nobody_waiting() -> None:
    broker = broker_with()
    broker.down()
    tasks = task_count()
    listener = listener_on(broker)
    starting = asyncio.create_task(listener.start())
    waiting = asyncio.create_task(listener.subscribe(str))
    await anyio.sleep(1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    with anyio.fail_after(5), pytest.raises(ClientClosed):
        await waiting
    assert task_count() == tasks


@on_asyncio
async def test_start_on_one_that_was_entered_leaves_it_running() -> None:
    broker = broker_with(*"ab")
    async with listener_on(broker) as listener:
        await listener.start()
        assert await take_last(await listener.subscribe(str), 2) == ["a", "b"]
        await listener.stop()
        assert listener.assigned_table() == {TOPIC: [0]}


@on_trio
async def test_start_and_stop_say_on_trio_what_to_do_instead() -> None:
    listener = listener_on(broker_with("a"))
    calls: list[Callable[[], Any]] = [listener.start, lambda: listener.subscribe(str)]
    for call in calls:
        with pytest.raises(ClientNotStarted, match="On trio: `async with KafkaListener"):
            await call()
    async with listener:
        assert await take_last(await listener.subscribe(str), 1) == ["a"]


# -- failing -----------------------------------------------------------------------------


@in_virtual_time
async def test_a_failure_past_its_restarts_comes_out_of_a_body_that_waits() -> None:
    broker = broker_with(*"abc")
    with pytest.raises(RestartsExhausted, match="consumer-loop") as caught:
        async with listener_on(broker, restarts=Restarts(max_restarts=0)) as listener:
            stream = await listener.subscribe(str)
            await take_last(stream, 1)
            broker.fail_next_poll(ConsumerFailed("boom"))
            async for _ in stream:
                pass
    assert isinstance(caught.value.__cause__, ConsumerFailed)
    assert broker.members(GROUP) == {}
