"""Cancellation of a child that its supervisor has not asked for."""

import asyncio
import gc

import anyio
import pytest

from sdml_kafka.runtime import (
    Actor,
    ChildSpec,
    Life,
    Restarts,
    RestartsExhausted,
    Supervisor,
    UnaskedCancellation,
    UnexpectedExit,
    supervise,
)
from tests.support.real_asyncio import on_asyncio
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
AT_ONCE = Restarts(backoff_s=0)


@on_asyncio
@pytest.mark.parametrize("grouped", [False, True])
async def test_a_cancellation_that_nobody_asked_for_is_a_crash(stage: Stage, grouped: bool) -> None:
    class Unlucky(Actor):
        async def run(self, life: Life) -> None:
            life.started()
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.cancel)
            if not grouped:
                await future
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                await future

    children = [stage.spec("a"), ChildSpec("b", Unlucky)]
    policy = Restarts(max_restarts=2, backoff_s=0)
    with pytest.raises(RestartsExhausted, match="'b'") as caught:
        async with supervise(Supervisor("root", children, restarts=policy)):
            await anyio.sleep_forever()
    cause = caught.value.__cause__
    assert isinstance(cause, UnaskedCancellation)
    assert isinstance(cause.__cause__, asyncio.CancelledError)
    assert stage.take() == ["+a", "-a"]


@on_asyncio
async def test_a_foreign_cancel_of_the_task_of_a_child_is_a_crash(stage: Stage) -> None:
    supervisor = Supervisor("root", [stage.spec("a")], restarts=AT_ONCE)
    async with supervise(supervisor):
        for task in asyncio.all_tasks():
            if task.get_name() == "root/a":
                task.cancel()
        await stage.until("+a", 2)
        await anyio.wait_all_tasks_blocked()
        (child,) = supervisor.snapshot().children
        assert child.last_error is not None
        assert child.last_error.startswith("UnaskedCancellation")
    assert stage.take() == ["+a", "-a", "+a", "-a"]


@on_asyncio
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_a_foreign_cancel_before_a_child_has_run_is_no_deadlock(stage: Stage) -> None:
    loop = asyncio.get_running_loop()

    def cancel() -> None:
        for task in asyncio.all_tasks():
            if task.get_name() == "root/a":
                task.cancel()

    def clock() -> float:
        if stage.log:  # a restart: the clock is read right before the task is made
            loop.call_soon(cancel)
        return 0.0

    supervisor = Supervisor("root", [stage.spec("a")], restarts=AT_ONCE, clock=clock)
    with anyio.fail_after(5), pytest.raises((UnexpectedExit, UnaskedCancellation)):
        async with supervise(supervisor):
            stage.crash("a")
            await anyio.sleep_forever()
    gc.collect()  # the coroutine that asyncio never ran complains when it goes: have it now
