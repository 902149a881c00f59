"""Cancelled at each checkpoint in turn: no record is lost, no task and no item is left behind."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from sdml_kafka import CommitFailed, KafkaListener
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.checkpoints import cancelled_at
from tests.support.listener_on_twin import GROUP, P0, broker_with, listener_on, take_last
from tests.support.tasks import task_count
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

VALUES = [str(number) for number in range(6)]


async def at_each_checkpoint(
    scenario: Callable[[MemoryBroker, list[str]], Coroutine[Any, Any, None]],
    **options: Any,
) -> int:
    """Run the scenario, cancelled at its 1st, 2nd, ... checkpoint, until it ends before.

    Each time another listener then reads what was not committed. Return how often the scenario
    was cancelled.
    """
    times = 0
    while True:
        broker, finished = broker_with(*VALUES), list[str]()
        tasks = task_count()
        reached = await cancelled_at(times + 1, scenario(broker, finished))
        assert task_count() == tasks
        assert broker.members(GROUP) == {}
        committed = broker.committed(GROUP, P0) or 0
        assert committed <= len(finished), "committed what had not finished"
        if committed < len(VALUES):
            async with listener_on(broker) as successor:
                rest = await take_last(await successor.subscribe(str), len(VALUES) - committed)
            assert rest == VALUES[committed:]
        if not reached:
            return times
        times += 1


async def test_entering_may_be_cancelled_anywhere() -> None:
    async def scenario(broker: MemoryBroker, finished: list[str]) -> None:
        async with listener_on(broker):
            pass

    assert await at_each_checkpoint(scenario) >= 4


async def test_reading_and_leaving_may_be_cancelled_anywhere() -> None:
    async def scenario(broker: MemoryBroker, finished: list[str]) -> None:
        async with listener_on(broker, auto_commit={"every": 2}) as listener:
            async for value in await listener.subscribe(str):
                await anyio.sleep(0.5)
                if value == "3":
                    break
                finished.append(value)

    assert await at_each_checkpoint(scenario) >= 8


async def test_committing_may_be_cancelled_anywhere() -> None:
    async def scenario(broker: MemoryBroker, finished: list[str]) -> None:
        broker.slow_down(commit_s=0.2)
        async with listener_on(broker, auto_commit_interval_s=None) as listener:
            async for delivery in (await listener.subscribe(str)).deliveries():
                finished.append(delivery.value)
                delivery.done()
                await listener.commit()
                if delivery.value == "2":
                    break

    assert await at_each_checkpoint(scenario) >= 9


async def test_a_loop_may_be_cancelled_at_each_of_its_waits_while_the_listener_goes_on() -> None:
    """Cancel a loop of a listener that stays: the next loop gets the item that it had in hand."""
    broker, seen, cancellations = broker_with(*map(str, range(40))), list[str](), 0
    async with listener_on(broker, max_in_flight=3) as listener:
        stream = await listener.subscribe(str, queue_maxsize=2)
        checkpoint = 1
        while len(seen) < 40:
            in_hand = None

            async def loop() -> None:
                nonlocal in_hand
                async for value in stream:
                    if in_hand is not None:
                        seen.append(in_hand)  # noqa: B023  the function runs at once
                    in_hand = value
                    await anyio.sleep(0.01)
                    if value == "39":
                        break

            reached = await cancelled_at(checkpoint, loop())
            cancellations += reached
            checkpoint = checkpoint % 7 + 1
            if in_hand == "39" and not reached:
                seen += await take_last(stream, 1)
            elif in_hand is not None and listener.status().counters.finished > len(seen):
                seen.append(in_hand)  # to ask for the next item had finished this one
        await listener.commit()
        assert listener.status().partitions[P0].in_flight == 0
    assert seen == [str(number) for number in range(40)]
    assert broker.committed(GROUP, P0) == 40
    assert cancellations >= 8


async def test_a_commit_that_is_cancelled_anywhere_keeps_nobody_else_from_committing() -> None:
    async def commit_of(listener: KafkaListener) -> None:
        await listener.commit()

    broker = broker_with(*map(str, range(40)))
    broker.slow_down(commit_s=0.1)
    async with listener_on(broker, auto_commit_interval_s=None) as listener:
        stream = await listener.subscribe(str)
        checkpoint, count = 0, 0
        reached = True
        while reached:
            checkpoint += 1
            await take_last(stream, 1)
            count += 1
            reached = await cancelled_at(checkpoint, commit_of(listener))
            with anyio.fail_after(10):
                await listener.commit()
            assert broker.committed(GROUP, P0) == count
    assert checkpoint >= 3


async def test_a_commit_cancelled_with_the_broker_frozen_leaves_later_ones_in_order() -> None:
    broker = broker_with(*VALUES)
    async with listener_on(broker, auto_commit_interval_s=None) as listener:
        stream = await listener.subscribe(str)
        await take_last(stream, 2)
        broker.hold_commits()
        with anyio.move_on_after(1):
            await listener.commit()
        await take_last(stream, 2)
        with pytest.raises(CommitFailed):
            await listener.commit()
        broker.release_commits()
        await listener.commit()
        assert broker.committed(GROUP, P0) == 4


async def test_leaving_may_be_cancelled_while_a_loop_is_waited_for() -> None:
    broker = broker_with(*VALUES)
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as outside:
            async with listener_on(broker, drain_timeout=8.0) as listener:
                stream = await listener.subscribe(str)
                hold = anyio.Event()

                async def work() -> None:
                    async for value in stream:
                        if value == "2":
                            arrived.set()
                            await hold.wait()

                arrived = anyio.Event()
                tasks.start_soon(work)
                await arrived.wait()
                began = anyio.current_time()
                outside.deadline = began + 1  # in the middle of the drain
        assert outside.cancelled_caught
        assert anyio.current_time() - began < 9.0
        hold.set()
    assert broker.committed(GROUP, P0) == 2
    assert broker.members(GROUP) == {}
