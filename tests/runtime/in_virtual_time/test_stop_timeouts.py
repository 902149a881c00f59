"""Stops that take long, and what each child is given for its own."""

import anyio
import pytest

from sdml_kafka.runtime import (
    ActorState,
    ActorStopped,
    ChildSpec,
    Event,
    Restarts,
    Supervisor,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
EXACT = Restarts(backoff_s=1, backoff_max_s=5, jitter=0)


async def test_each_child_has_its_time_to_stop_and_is_then_cancelled(stage: Stage) -> None:
    events: list[Event] = []

    async def slow() -> None:
        await anyio.sleep(2)

    children = [
        stage.spec("a", on_stop=slow),
        stage.spec("b", heeds_stop=False, stop_timeout_s=3),
        stage.spec("c", on_stop=slow),
    ]
    async with supervise(Supervisor("root", children, on_event=events.append)):
        left_at = anyio.current_time()
        stage.take()
    assert anyio.current_time() - left_at == 2 + 3 + 2
    assert stage.take() == ["-c", "-b", "-a"]
    stopped = {event.name: event.cancelled for event in events if isinstance(event, ActorStopped)}
    assert stopped == {"c": False, "b": True, "a": False}


@pytest.mark.parametrize("cancelled", [False, True])
async def test_the_stop_as_a_whole_is_bounded(stage: Stage, cancelled: bool) -> None:
    children = [stage.spec(name, heeds_stop=False, stop_timeout_s=3) for name in "abc"]
    with anyio.CancelScope() as outside:
        async with supervise(Supervisor("root", children), stop_timeout_s=4):
            left_at = anyio.current_time()
            if cancelled:
                outside.cancel()
    assert anyio.current_time() - left_at == 4
    assert set(stage.take()) == {"+a", "+b", "+c", "-a", "-b", "-c"}


@pytest.mark.parametrize("nested", [False, True])
async def test_a_failed_start_that_is_cancelled_still_stops_gracefully(
    stage: Stage, nested: bool
) -> None:
    async def slow() -> None:
        await anyio.sleep(3)
        stage.write("took its time")

    async def fail() -> None:
        raise OSError("no disk")

    children = [stage.spec("a", on_stop=slow), stage.spec("b", on_start=fail)]
    if nested:
        below = children
        children = [ChildSpec("nested", lambda: Supervisor("nested", below))]
    with anyio.move_on_after(1), pytest.raises(OSError, match="no disk"):
        async with supervise(Supervisor("root", children)):
            pytest.fail("must not be entered")
    assert stage.take() == ["+a", "+b", "-b", "took its time", "-a"]


async def test_a_child_that_is_not_ready_and_does_not_listen_is_cancelled_at_once(
    stage: Stage,
) -> None:
    with anyio.move_on_after(1) as outside:
        async with supervise(Supervisor("root", [stage.spec("a", on_start=anyio.sleep_forever)])):
            pytest.fail("must not be entered")
    assert outside.cancelled_caught
    assert anyio.current_time() == 1
    assert stage.take() == ["+a", "-a"]


async def test_a_stop_in_the_backoff_is_answered_at_once(stage: Stage) -> None:
    supervisor = Supervisor("root", [stage.spec("a"), stage.spec("b")], restarts=EXACT)
    async with supervise(supervisor):
        stage.crash("a")
        await anyio.wait_all_tasks_blocked()
        assert supervisor.snapshot().children[0].state is ActorState.RESTARTING
        left_at = anyio.current_time()
        stage.take()
    assert anyio.current_time() == left_at
    assert stage.take() == ["-b"]


async def test_a_stop_while_a_sibling_is_stopped_for_a_restart_keeps_its_time(
    stage: Stage,
) -> None:
    async def slow() -> None:
        await anyio.sleep(3)
        stage.write("took its time")

    children = [stage.spec("a", on_stop=slow), stage.spec("b")]
    async with supervise(Supervisor("root", children, strategy="one_for_all")):
        stage.crash("b")
        await stage.until("-b")
        await anyio.sleep(1)
        stage.take()
    assert stage.take() == ["took its time", "-a"]
