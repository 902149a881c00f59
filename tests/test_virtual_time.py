"""The time of the tests goes on by itself, but not while a thread runs."""

from functools import partial
from threading import Event

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_time_stands_still_while_a_thread_runs() -> None:
    began_at = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 100)
        await anyio.to_thread.run_sync(Event().wait, 0.05)
        assert anyio.current_time() == began_at
    assert anyio.current_time() >= began_at + 100


async def test_a_thread_that_nobody_waits_for_does_not_hold_it() -> None:
    began, end = anyio.Event(), Event()

    def work() -> None:
        anyio.from_thread.run_sync(began.set)
        end.wait(10)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(anyio.to_thread.run_sync, work, abandon_on_cancel=True))
        await began.wait()
        tasks.cancel_scope.cancel()
    await anyio.sleep(100)
    end.set()
