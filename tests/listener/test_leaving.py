"""Leaving a listener: what is waited for, what is committed, and what is left behind."""

import gc
from weakref import ref

import anyio
import pytest

from sdml_kafka import ClientClosed
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    Gate,
    broker_with,
    listener_on,
    take,
    take_last,
)
from tests.support.tasks import task_count
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_leaving_does_not_wait_for_an_item_whose_loop_broke_off_in_the_leaving_task() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener:
        async for value in await listener.subscribe(str):
            if value == "b":
                break
        left_at = anyio.current_time()
    assert anyio.current_time() - left_at < 0.5
    assert broker.committed(GROUP, P0) == 1


async def test_leaving_does_not_wait_for_an_item_that_the_leaving_task_pulled() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        assert [await anext(stream), await anext(stream)] == ["a", "b"]
        left_at = anyio.current_time()
    assert anyio.current_time() - left_at < 0.5
    assert broker.committed(GROUP, P0) == 1


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


async def test_a_listener_that_was_left_can_be_used_for_nothing_and_says_so() -> None:
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


async def test_a_body_that_raises_as_it_is_cancelled_waits_for_no_loop() -> None:
    async def fail_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        except BaseException:
            raise ValueError("while cleaning up") from None

    began, kept = anyio.current_time(), list[object]()
    with pytest.raises(ExceptionGroup), anyio.move_on_after(1.0):
        async with listener_on(broker_with(*"ab"), drain_timeout=20.0) as listener:
            stream = await listener.subscribe(str)
            kept.append(await anext(stream.deliveries()))  # which nobody settles
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fail_when_cancelled)
    assert anyio.current_time() - began < 5.0
