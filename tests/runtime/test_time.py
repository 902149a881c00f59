"""All that takes time, in virtual time."""

import anyio
import pytest
from trio.testing import MockClock

from sdml_kafka.runtime import (
    ActorRestarting,
    ActorState,
    ActorStopped,
    ChildSpec,
    Event,
    Restarts,
    RestartsExhausted,
    StartTimeout,
    Supervisor,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
EXACT = Restarts(backoff_s=1, backoff_max_s=5, jitter=0)


@pytest.fixture
def anyio_backend() -> object:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def test_a_child_that_never_says_started_is_a_start_timeout(stage: Stage) -> None:
    children = [stage.spec("a"), stage.spec("b", on_start=anyio.sleep_forever, start_timeout_s=3)]
    before = anyio.current_time()
    with pytest.raises(StartTimeout, match="'b' was not ready within 3 s") as caught:
        async with supervise(Supervisor("root", children)):
            pytest.fail("must not be entered")
    assert caught.value.child == "b"
    assert anyio.current_time() - before == 3
    assert stage.take() == ["+a", "+b", "-b", "-a"]


async def test_the_start_as_a_whole_is_bounded_and_names_whom_it_waited_for(stage: Stage) -> None:
    inner = [stage.spec("b"), stage.spec("c", on_start=anyio.sleep_forever, start_timeout_s=100)]
    nested = ChildSpec("nested", lambda: Supervisor("nested", inner), start_timeout_s=100)
    before = anyio.current_time()
    with pytest.raises(StartTimeout, match="'c' was not ready within 5 s"):
        async with supervise(Supervisor("root", [stage.spec("a"), nested]), start_timeout_s=5):
            pytest.fail("must not be entered")
    assert anyio.current_time() - before == 5
    assert stage.take() == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_a_start_timeout_in_a_restart_counts_as_a_crash(stage: Stage) -> None:
    async def slow_at_second() -> None:
        if stage.log.count("+a") == 2:
            await anyio.sleep_forever()

    supervisor = Supervisor("root", [stage.spec("a", on_start=slow_at_second)], restarts=EXACT)
    async with supervise(supervisor):
        stage.crash("a")
        await stage.until("+a", 3)
        await anyio.wait_all_tasks_blocked()
        (child,) = supervisor.snapshot().children
        assert (child.state, child.restarts) == (ActorState.RUNNING, 2)
        assert child.last_error is not None
        assert child.last_error.startswith("StartTimeout")


async def test_what_a_child_raises_when_its_start_is_cut_off_is_kept_as_the_cause(
    stage: Stage,
) -> None:
    async def fail_late() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("no broker")

    with pytest.raises(StartTimeout) as caught:
        async with supervise(
            Supervisor("root", [stage.spec("a", on_start=fail_late, start_timeout_s=3)])
        ):
            pytest.fail("must not be entered")
    assert isinstance(caught.value.__cause__, OSError)


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


async def test_the_snapshot_tells_ages(stage: Stage) -> None:
    supervisor = Supervisor("root", [stage.spec("a")], restarts=EXACT)
    assert supervisor.snapshot().age_s == 0
    async with supervise(supervisor):
        await anyio.sleep(10)
        stage.crash("a")
        await stage.until("-a")
        assert supervisor.snapshot().children[0].age_s == 0
        await stage.until("+a", 2)
        await anyio.sleep(2)
        tree = supervisor.snapshot()
        assert (tree.age_s, tree.children[0].age_s) == (13, 2)
    assert supervisor.snapshot().age_s == 0
