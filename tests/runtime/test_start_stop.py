"""Entering and leaving."""

import anyio
import pytest

from sdml_kafka.runtime import (
    Actor,
    ActorState,
    ChildSpec,
    Life,
    Supervisor,
    SupervisorReused,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio


async def test_children_start_in_order_each_when_the_one_before_is_ready(stage: Stage) -> None:
    ready = anyio.Event()
    supervisor = Supervisor("root", [stage.spec("a", on_start=ready.wait), stage.spec("b")])

    async def let_go() -> None:
        await anyio.wait_all_tasks_blocked()
        assert stage.take() == ["+a"]
        states = [c.state for c in supervisor.snapshot().children]
        assert states == [ActorState.STARTING, ActorState.NEW]
        ready.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(let_go)
        async with supervise(supervisor) as entered:
            assert entered is supervisor
            assert stage.take() == ["+b"]
            assert supervisor.snapshot().state is ActorState.RUNNING
    assert stage.take() == ["-b", "-a"]
    assert supervisor.snapshot().state is ActorState.STOPPED
    assert {c.state for c in supervisor.snapshot().children} == {ActorState.STOPPED}


async def test_a_child_that_fails_to_start_stops_those_before_and_comes_out_as_itself(
    stage: Stage,
) -> None:
    error = OSError("no disk")

    async def fail() -> None:
        raise error

    children = [stage.spec("a"), stage.spec("b"), stage.spec("c", on_start=fail), stage.spec("d")]
    with pytest.raises(OSError, match="no disk") as caught:
        async with supervise(Supervisor("root", children)):
            pytest.fail("must not be entered")
    assert caught.value is error
    assert caught.value.__context__ is None
    assert stage.take() == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_a_child_that_is_done_before_it_is_ready_does_not_hold_up_the_start(
    stage: Stage,
) -> None:
    class Brief(Actor):
        async def run(self, life: Life) -> None:
            stage.write("brief")

    children = [ChildSpec("brief", Brief, "transient"), stage.spec("a")]
    async with supervise(Supervisor("root", children)):
        assert stage.take() == ["brief", "+a"]


async def test_a_failure_of_an_earlier_child_during_the_start_is_mended_after_it(
    stage: Stage,
) -> None:
    async def crash_first() -> None:
        stage.crash("a")
        await stage.until("-a")

    supervisor = Supervisor("root", [stage.spec("a"), stage.spec("b", on_start=crash_first)])
    async with supervise(supervisor):
        await stage.until("+a", 2)
    assert stage.take() == ["+a", "+b", "!a", "-a", "+a", "-b", "-a"]


async def test_an_exception_of_the_body_comes_out_as_itself(stage: Stage) -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async with supervise(Supervisor("root", [stage.spec("a")])):
            raise error
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert stage.take() == ["+a", "-a"]


async def test_a_group_of_the_body_comes_out_as_it_is(stage: Stage) -> None:
    group = ExceptionGroup("mine", [KeyError("a"), ValueError("b")])
    with pytest.raises(ExceptionGroup) as caught:
        async with supervise(Supervisor("root", [stage.spec("a")])):
            raise group
    assert caught.value is group


@pytest.mark.parametrize("error", [StopIteration("x"), StopAsyncIteration("y")])
async def test_even_what_generators_cannot_raise_comes_out_as_itself(
    stage: Stage, error: Exception
) -> None:
    with pytest.raises(type(error)) as caught:
        async with supervise(Supervisor("root", [stage.spec("a")])):
            raise error
    assert caught.value is error


async def test_a_child_that_fails_while_it_stops_is_logged_and_the_others_stop(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise OSError("while stopping")

    children = [stage.spec("a"), stage.spec("b", on_stop=fail), stage.spec("c")]
    supervisor = Supervisor("root", children, is_fatal=lambda error: True)
    async with supervise(supervisor):
        stage.take()
    assert stage.take() == ["-c", "-b", "-a"]
    assert [r.getMessage() for r in caplog.records] == [
        "actor root/b crashed: OSError: while stopping"
    ]
    assert supervisor.snapshot().children[1].state is ActorState.CRASHED


async def test_a_supervisor_serves_once(stage: Stage) -> None:
    supervisor = Supervisor("root", [stage.spec("a")])
    async with supervise(supervisor):
        with pytest.raises(SupervisorReused, match="'root' was run before; make a new one"):
            async with supervise(supervisor):
                pytest.fail("must not be entered")
        assert supervisor.snapshot().state is ActorState.RUNNING
    with pytest.raises(SupervisorReused):
        async with supervise(supervisor):
            pytest.fail("must not be entered")


async def test_a_supervisor_without_children_runs_too() -> None:
    async with supervise(Supervisor("root", [])) as supervisor:
        assert supervisor.snapshot().state is ActorState.RUNNING


async def test_limits_of_time_are_validated() -> None:
    with pytest.raises(ValueError, match="stop_timeout_s must be a finite"):
        async with supervise(Supervisor("root", []), stop_timeout_s=float("inf")):
            pytest.fail("must not be entered")


async def test_a_life_can_be_driven_by_hand(stage: Stage) -> None:
    life = Life()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.spec("a").factory().run, life)
        await life.wait_settled()
        assert life.ready
        assert not life.stopping
        life.request_stop()
        await life.wait_stopping()
    assert stage.take() == ["+a", "-a"]
    with life.cancel_on_stop() as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
