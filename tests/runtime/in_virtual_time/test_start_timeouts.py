"""Starts that take too long, of a child and of the whole tree."""

import anyio
import pytest

from sdml_kafka.runtime import (
    ActorState,
    ChildSpec,
    Restarts,
    StartTimeout,
    Supervisor,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
EXACT = Restarts(backoff_s=1, backoff_max_s=5, jitter=0)


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
