"""`start()` and `stop()`: on asyncio the same as `async with`, and refused on trio."""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sdml_kafka import BrokerUnreachable, ClientClosed, ClientNotStarted
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    TOPIC,
    Gate,
    broker_with,
    listener_on,
    loops,
    take,
    take_last,
)
from tests.support.tasks import task_count
from tests.support.virtual_time import on_asyncio, on_trio
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


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
@pytest.mark.parametrize("steps", [0, 1, 5])
async def test_a_listener_that_is_stopped_while_it_starts_is_left_in_peace(steps: int) -> None:
    broker = broker_with(*"abc")
    tasks = task_count()
    listener = listener_on(broker)

    async def stop() -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        await listener.stop()

    await asyncio.gather(listener.start(), stop())
    await listener.stop()
    assert broker.members(GROUP) == {}
    assert task_count() == tasks


@on_asyncio
async def test_subscribe_starts_a_listener_that_was_not_started() -> None:
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
async def test_entering_a_listener_that_subscribe_has_started_says_so() -> None:
    listener = listener_on(broker_with("a"))
    await listener.subscribe(str)
    text = r"^subscribe\(\) or start\(\) has started this listener already: enter it .*stop\(\)$"
    with pytest.raises(ClientClosed, match=text):
        async with listener:
            pytest.fail("entered")
    await listener.stop()
    with pytest.raises(ClientClosed, match="entered once"):
        async with listener:
            pytest.fail("entered")


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
async def test_a_start_that_fails_says_why_leaves_nothing_behind_and_can_be_tried_again() -> None:
    broker = broker_with("a")
    broker.down()
    tasks = task_count()
    listener = listener_on(broker, start_timeout=2.0)
    for attempt in (listener.start, lambda: listener.subscribe(str)):
        with pytest.raises(BrokerUnreachable):
            await attempt()
        assert task_count() == tasks
    broker.up()
    assert await take_last(await listener.subscribe(str), 1) == ["a"]
    await listener.stop()


@on_asyncio
async def test_a_start_of_which_one_caller_is_cancelled_goes_on_for_the_other() -> None:
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
    with anyio.fail_after(12), pytest.raises(BrokerUnreachable):
        await waiting
    assert task_count() == tasks


@on_asyncio
async def test_a_start_whose_callers_are_all_cancelled_leaves_nothing_behind() -> None:
    broker = broker_with("a")
    broker.down()
    tasks = task_count()
    listener = listener_on(broker)
    callers = [asyncio.create_task(listener.start()), asyncio.create_task(listener.subscribe(str))]
    await anyio.sleep(1)
    for caller in callers:
        caller.cancel()
    with anyio.fail_after(5):
        await asyncio.wait(callers)
    assert task_count() == tasks
    broker.up()
    assert await take_last(await listener.subscribe(str), 1) == ["a"]
    await listener.stop()


@on_asyncio
async def test_start_leaves_a_listener_that_was_entered_running() -> None:
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


@on_asyncio
async def test_a_caller_that_is_cancelled_as_the_start_ends_does_not_end_the_listener() -> None:
    listener = listener_on(broker_with(*"ab"))
    starting = asyncio.create_task(listener.start())
    await asyncio.sleep(0)
    own_task: Any = listener._lifecycle._task  # pyright: ignore[reportPrivateUsage]
    settle = own_task._settled.set

    def settle_and_cancel() -> None:
        settle()
        starting.cancel()

    own_task._settled.set = settle_and_cancel
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await take_last(await listener.subscribe(str), 1) == ["a"]
    await listener.stop()
