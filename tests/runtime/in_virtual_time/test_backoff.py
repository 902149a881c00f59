"""The delays before restarts, their limit in a window, and crashes during a delay."""

import anyio
import pytest

from sdml_kafka.runtime import (
    ActorRestarting,
    ActorState,
    Event,
    Restarts,
    RestartsExhausted,
    Supervisor,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
EXACT = Restarts(backoff_s=1, backoff_max_s=5, jitter=0)


async def test_the_backoff_grows_is_capped_and_starts_over_after_a_window_in_good_health(
    stage: Stage,
) -> None:
    policy = Restarts(max_restarts=9, window_s=60, backoff_s=1, backoff_max_s=5, jitter=0)
    events: list[Event] = []
    supervisor = Supervisor("root", [stage.spec("a")], restarts=policy, on_event=events.append)
    async with supervise(supervisor):
        for times in range(2, 7):
            stage.crash("a")
            await stage.until("+a", times)
        await anyio.sleep(61)
        stage.crash("a")
        await stage.until("+a", 7)
    delays = [event.delay_s for event in events if isinstance(event, ActorRestarting)]
    assert delays == [1, 2, 4, 5, 5, 1]


async def test_chance_spreads_the_backoff(stage: Stage) -> None:
    events: list[Event] = []
    policy = Restarts(backoff_s=1, jitter=0.5)
    supervisor = Supervisor(
        "root", [stage.spec("a")], restarts=policy, on_event=events.append, random=lambda: 1.0
    )
    async with supervise(supervisor):
        before = anyio.current_time()
        stage.crash("a")
        await stage.until("+a", 2)
        assert anyio.current_time() - before == 1.5
    assert [event.delay_s for event in events if isinstance(event, ActorRestarting)] == [1.5]


async def test_restarts_that_are_spread_out_go_on_for_ever(stage: Stage) -> None:
    policy = Restarts(max_restarts=2, window_s=10, backoff_s=0)
    async with supervise(Supervisor("root", [stage.spec("a")], restarts=policy)):
        for times in range(2, 20):
            await anyio.sleep(5.1)
            stage.crash("a")
            await stage.until("+a", times)


async def test_restarts_within_the_window_are_limited(stage: Stage) -> None:
    policy = Restarts(max_restarts=2, window_s=10, backoff_s=0)
    with pytest.raises(RestartsExhausted):
        async with supervise(Supervisor("root", [stage.spec("a")], restarts=policy)):
            for times in range(2, 20):
                await anyio.sleep(4.9)
                stage.crash("a")
                await stage.until("+a", times)
    assert stage.log.count("+a") == 3


async def test_a_crash_in_the_backoff_of_another_waits_for_its_turn(stage: Stage) -> None:
    supervisor = Supervisor("root", [stage.spec("a"), stage.spec("b")], restarts=EXACT)
    async with supervise(supervisor):
        before = anyio.current_time()
        stage.crash("a")
        await anyio.sleep(0.5)
        stage.crash("b")
        await stage.until("-b")
        states = [child.state for child in supervisor.snapshot().children]
        assert states == [ActorState.RESTARTING, ActorState.CRASHED]
        await stage.until("+a", 2)
        assert anyio.current_time() - before == 1
        await stage.until("+b", 2)
        assert anyio.current_time() - before == 2


async def test_a_crash_in_the_backoff_of_a_group_is_covered_by_its_restart(stage: Stage) -> None:
    async def crash_again() -> None:
        if stage.log.count("+b") == 1 and stage.log[0] != "+a":
            raise OSError("again")

    children = [stage.spec("a"), stage.spec("b", on_start=crash_again), stage.spec("c")]
    supervisor = Supervisor("root", children, strategy="rest_for_one", restarts=EXACT)
    async with supervise(supervisor):
        stage.take()
        stage.crash("b")
        await anyio.sleep(0.5)
        stage.crash("a")
        await stage.until("+c")
        await anyio.wait_all_tasks_blocked()
        assert {child.state for child in supervisor.snapshot().children} == {ActorState.RUNNING}
        starts = [entry for entry in stage.take() if entry[0] == "+"]
        assert starts == ["+b", "+a", "+b", "+c"]
