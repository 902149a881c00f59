"""Cancellation from outside, at every point."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest

from sdml_kafka.runtime import (
    ActorState,
    ChildSpec,
    Restarts,
    RestartsExhausted,
    Supervisor,
    supervise,
)
from tests.support.checkpoints import cancelled_at_each_checkpoint
from tests.support.real_asyncio import on_asyncio
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
AT_ONCE = Restarts(backoff_s=0)


async def hold(supervisor: Supervisor, body: Callable[[], Awaitable[None]]) -> None:
    async with supervise(supervisor):
        await body()


@pytest.mark.parametrize("on_stop", ["returns", "waits"])
async def test_cancelled_at_any_point_it_leaves_nothing_behind(on_stop: str) -> None:
    tasks = len(anyio.get_running_tasks())

    async def linger() -> None:
        if on_stop == "waits":
            for _ in range(3):
                await anyio.lowlevel.checkpoint()

    async def scenario() -> None:
        stage = Stage()
        inner = [stage.spec("b", on_stop=linger), stage.spec("c", on_stop=linger)]
        children = [
            stage.spec("a", on_stop=linger),
            ChildSpec("nested", lambda: Supervisor("nested", inner)),
            stage.spec("d", on_stop=linger),
        ]
        supervisor = Supervisor("root", children, restarts=AT_ONCE)
        try:
            async with supervise(supervisor):
                stage.crash("a")
                await stage.until("+a", 2)
        finally:
            started = [entry[1] for entry in stage.log if entry[0] == "+"]
            ended = [entry[1] for entry in stage.log if entry[0] == "-"]
            assert sorted(started) == sorted(ended)
            order = [name for name in ended if name != "a"]
            assert order == sorted(order, reverse=True)
            states = {child.state for child in supervisor.snapshot().children}
            assert states <= {ActorState.NEW, ActorState.STOPPED, ActorState.CRASHED}
            assert len(anyio.get_running_tasks()) == tasks

    assert await cancelled_at_each_checkpoint(scenario) >= 4


async def test_cancelled_at_any_point_of_giving_up_it_leaves_nothing_behind() -> None:
    tasks = len(anyio.get_running_tasks())
    outcomes: set[str] = set()

    async def scenario() -> None:
        stage = Stage()
        children = [stage.spec("a"), stage.spec("b")]
        supervisor = Supervisor("root", children, restarts=Restarts(max_restarts=0))
        try:
            async with supervise(supervisor):
                stage.crash("b")
                try:
                    await anyio.sleep_forever()
                finally:
                    with anyio.move_on_after(5, shield=True):
                        await anyio.lowlevel.checkpoint()
                        await stage.until("-b")
                        assert "-a" not in stage.log
        except RestartsExhausted:
            outcomes.add("failure")
        except BaseException:
            outcomes.add("cancelled")
            raise
        finally:
            started = [entry[1] for entry in stage.log if entry[0] == "+"]
            assert started == [entry[1] for entry in reversed(stage.log) if entry[0] == "-"]
            assert len(anyio.get_running_tasks()) == tasks

    await cancelled_at_each_checkpoint(scenario)
    assert outcomes == {"failure", "cancelled"}


async def test_cancelled_from_outside_the_children_still_stop_gracefully(stage: Stage) -> None:
    async def finish() -> None:
        await anyio.wait_all_tasks_blocked()
        stage.write("finished")

    with anyio.CancelScope() as outside:
        async with supervise(
            Supervisor("root", [stage.spec("a", on_stop=finish), stage.spec("b")])
        ):
            stage.take()
            outside.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                stage.write("body left")
    assert outside.cancelled_caught
    assert stage.take() == ["body left", "-b", "finished", "-a"]


async def test_an_error_of_a_body_that_is_cancelled_is_not_lost(stage: Stage) -> None:
    with anyio.CancelScope() as outside, pytest.raises(KeyError):
        async with supervise(Supervisor("root", [stage.spec("a")])):
            outside.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                raise KeyError("cleanup")
    assert stage.take() == ["+a", "-a"]


async def test_a_failure_is_not_lost_in_a_cancellation_from_outside(stage: Stage) -> None:
    never = Restarts(max_restarts=0)
    with anyio.CancelScope() as outside, pytest.raises(RestartsExhausted):
        async with supervise(Supervisor("root", [stage.spec("a")], restarts=never)):
            stage.crash("a")
            try:
                await anyio.sleep_forever()
            finally:
                outside.cancel()


@on_asyncio
async def test_asyncio_task_cancel_and_timeout_work_as_ever(stage: Stage) -> None:
    entered = asyncio.Event()

    async def body() -> None:
        entered.set()
        await asyncio.sleep(100)

    async def host() -> None:
        await hold(Supervisor("root", [stage.spec("a")]), body)

    task = asyncio.create_task(host())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert stage.take() == ["+a", "-a"]

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await host()
    assert stage.take() == ["+a", "-a"]


@on_asyncio
async def test_a_second_task_cancel_ends_the_grace(stage: Stage) -> None:
    stubborn = stage.spec("a", heeds_stop=False, stop_timeout_s=100)
    entered = asyncio.Event()

    async def body() -> None:
        entered.set()
        await asyncio.sleep(100)

    async def host() -> None:
        async with supervise(Supervisor("root", [stubborn]), stop_timeout_s=100):
            await body()

    task = asyncio.create_task(host())
    await entered.wait()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    assert stage.take() == ["+a"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stage.take() == ["-a"]
