"""A loop whose body never waits; in real time, since work takes no virtual time."""

import time

import anyio
import pytest

from tests.support.listener_on_twin import broker_with, listener_on

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


async def test_it_lets_others_run_and_heeds_cancellation() -> None:
    broker = broker_with(*map(str, range(1000)))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.lowlevel.checkpoint()
            ticks += 1

    async with listener_on(broker) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        async for value in await listener.subscribe(str):
            work(0.0005)
            if value == "300":
                assert ticks > 5
                tasks.cancel_scope.cancel()
            assert value != "999"
    assert tasks.cancel_scope.cancelled_caught


def work(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
