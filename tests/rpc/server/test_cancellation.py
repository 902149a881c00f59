"""Cancelled at each checkpoint in turn: no request is lost, no task is left behind."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.checkpoints import cancelled_at
from tests.support.client_by_hand import GROUP, P0, REPLY, ask, new_broker, serving
from tests.support.tasks import task_count
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(120)]

VALUES = [b"%d" % number for number in range(6)]


async def work(value: bytes, call: Call) -> bytes:
    await anyio.sleep(0.5)
    return value


def answered(broker: MemoryBroker) -> list[bytes]:
    return [record.value or b"" for record in broker.records(TopicPartition(REPLY, 0))]


async def at_each_checkpoint(
    scenario: Callable[[MemoryBroker], Coroutine[Any, Any, None]],
) -> int:
    """Run the scenario, cancelled at its 1st, 2nd, ... checkpoint, until it ends before.

    Each time another server then answers what was not committed. Return how often the scenario
    was cancelled.
    """
    times = 0
    while True:
        broker = new_broker()
        for value in VALUES:
            ask(broker, value)
        tasks = task_count()
        reached = await cancelled_at(times + 1, scenario(broker))
        assert task_count() == tasks
        assert broker.members(GROUP) == {}
        committed = broker.committed(GROUP, P0) or 0
        assert set(VALUES[:committed]) <= set(answered(broker)), "committed, and not answered"
        before = len(answered(broker))
        assert before == committed, "answered, and not committed"
        async with serving(broker, work):
            await until(lambda: set(answered(broker)) == set(VALUES))  # noqa: B023
        assert len(answered(broker)) == len(VALUES), "answered twice"
        if not reached:
            return times
        times += 1


async def test_entering_may_be_cancelled_anywhere() -> None:
    async def scenario(broker: MemoryBroker) -> None:
        async with serving(broker, work):
            pass

    assert await at_each_checkpoint(scenario) >= 4


async def test_serving_and_leaving_may_be_cancelled_anywhere() -> None:
    async def scenario(broker: MemoryBroker) -> None:
        async with serving(broker, work, concurrency=2):
            await anyio.sleep(0.7)

    assert await at_each_checkpoint(scenario) >= 5
