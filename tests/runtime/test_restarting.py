"""What comes of a child that ends: strategies and restart types."""

from typing import get_args

import anyio
import pytest

from sdml_kafka.runtime import (
    Actor,
    ActorCrashed,
    ActorState,
    ChildSpec,
    Event,
    Restarts,
    RestartsExhausted,
    RestartType,
    Strategy,
    Supervisor,
    UnexpectedExit,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
AT_ONCE = Restarts(backoff_s=0)


@pytest.mark.parametrize(
    ("strategy", "log"),
    [
        ("one_for_one", "!b -b +b"),
        ("one_for_all", "!b -b -c -a +a +b +c"),
        ("rest_for_one", "!b -b -c +b +c"),
    ],
)
async def test_a_failure_restarts_whom_the_strategy_says(
    stage: Stage, strategy: Strategy, log: str
) -> None:
    children = [stage.spec(name) for name in "abc"]
    supervisor = Supervisor("root", children, strategy=strategy, restarts=AT_ONCE)
    async with supervise(supervisor):
        assert stage.take() == ["+a", "+b", "+c"]
        stage.crash("b")
        await anyio.wait_all_tasks_blocked()
        assert stage.take() == log.split()
        restarted = {c.name for c in supervisor.snapshot().children if c.restarts}
        assert restarted == {entry[1] for entry in log.split() if entry[0] == "+"}
    assert stage.take() == ["-c", "-b", "-a"]


@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize(
    ("restart", "failing", "restarted", "state"),
    [
        ("permanent", True, True, "running"),
        ("permanent", False, True, "running"),
        ("transient", True, True, "running"),
        ("transient", False, False, "finished"),
        ("temporary", True, False, "crashed"),
        ("temporary", False, False, "finished"),
    ],
)
async def test_a_child_is_restarted_as_its_type_says(
    stage: Stage,
    strategy: Strategy,
    restart: RestartType,
    failing: bool,
    restarted: bool,
    state: str,
) -> None:
    supervisor = Supervisor("root", [stage.spec("a", restart)], strategy=strategy, restarts=AT_ONCE)
    async with supervise(supervisor):
        if failing:
            stage.crash("a")
        else:
            stage.finish("a")
        await anyio.wait_all_tasks_blocked()
        assert stage.take() == ["+a", "!a", "-a"] + ["+a"] * restarted
        (child,) = supervisor.snapshot().children
        assert (child.state, child.restarts) == (ActorState(state), restarted)


async def test_a_permanent_child_that_returns_is_a_failure_with_a_clear_cause(
    stage: Stage,
) -> None:
    events: list[Event] = []
    no_more = Restarts(max_restarts=0)
    supervisor = Supervisor("root", [stage.spec("a")], restarts=no_more, on_event=events.append)
    with pytest.raises(RestartsExhausted, match="'a' failed again with UnexpectedExit") as caught:
        async with supervise(supervisor):
            stage.finish("a")
            await anyio.sleep_forever()
    assert isinstance(caught.value.__cause__, UnexpectedExit)
    assert [type(e.error) for e in events if isinstance(e, ActorCrashed)] == [UnexpectedExit]


async def test_siblings_that_are_done_or_temporary_are_not_started_again(stage: Stage) -> None:
    children = [
        stage.spec("done", "transient"),
        stage.spec("once", "temporary"),
        stage.spec("a"),
        stage.spec("b", "transient"),
    ]
    supervisor = Supervisor("root", children, strategy="one_for_all", restarts=AT_ONCE)
    async with supervise(supervisor):
        stage.finish("done")
        await stage.until("-done")
        stage.take()
        stage.crash("a")
        await anyio.wait_all_tasks_blocked()
        assert stage.take() == ["!a", "-a", "-b", "-once", "+a", "+b"]


@pytest.mark.parametrize(
    ("strategy", "restarts"),
    [("one_for_one", (1, 0, 1)), ("one_for_all", (1, 1, 1)), ("rest_for_one", (1, 1, 1))],
)
async def test_two_failures_at_once_are_both_mended(
    stage: Stage, strategy: Strategy, restarts: tuple[int, ...]
) -> None:
    children = [stage.spec(name) for name in "abc"]
    supervisor = Supervisor("root", children, strategy=strategy, restarts=AT_ONCE)
    async with supervise(supervisor):
        stage.take()
        stage.crash("c")
        stage.crash("a")
        await anyio.wait_all_tasks_blocked()
        starts = [entry for entry in stage.take() if entry[0] == "+"]
        # Where the restart of one covers the other, each is started once.
        assert sorted(starts) == [f"+{c}" for c, n in zip("abc", restarts, strict=True) if n]
        children_after = supervisor.snapshot().children
        assert tuple(child.restarts for child in children_after) == restarts
        assert {child.state for child in children_after} == {ActorState.RUNNING}


async def test_a_sibling_that_fails_while_it_is_stopped_is_restarted_with_the_rest(
    stage: Stage,
) -> None:
    async def fail() -> None:
        raise OSError("while stopping")

    children = [stage.spec("a", on_stop=fail), stage.spec("b")]
    policy = Restarts(max_restarts=1, backoff_s=0)
    supervisor = Supervisor("root", children, strategy="one_for_all", restarts=policy)
    async with supervise(supervisor):
        stage.crash("b")
        await stage.until("+b", 2)
        await anyio.wait_all_tasks_blocked()
        first, second = supervisor.snapshot().children
        assert (first.restarts, second.restarts) == (1, 1)
        assert first.last_error == "OSError: while stopping"


async def test_a_factory_that_raises_is_a_crash_of_the_child(stage: Stage) -> None:
    made = 0
    inner = stage.spec("a")

    def factory() -> Actor:
        nonlocal made
        made += 1
        if made == 2:
            raise OSError("not now")
        return inner.factory()

    supervisor = Supervisor("root", [ChildSpec("a", factory)], restarts=AT_ONCE)
    async with supervise(supervisor):
        stage.crash("a")
        await stage.until("+a", 2)
        await anyio.wait_all_tasks_blocked()
        (child,) = supervisor.snapshot().children
        assert (child.restarts, child.last_error) == (2, "OSError: not now")


async def test_the_limit_counts_all_children_and_the_failure_has_the_last_error_as_its_cause(
    stage: Stage,
) -> None:
    policy = Restarts(max_restarts=2, window_s=30, backoff_s=0)
    supervisor = Supervisor("root", [stage.spec("a"), stage.spec("b")], restarts=policy)
    last = OSError("the last")
    with pytest.raises(RestartsExhausted) as caught:
        async with supervise(supervisor):
            stage.crash("a")
            await stage.until("+a", 2)
            stage.crash("b")
            await stage.until("+b", 2)
            stage.crash("a", last)
            await anyio.sleep_forever()
    error = caught.value
    assert (error.child, error.count, error.window_s) == ("a", 2, 30)
    assert error.__cause__ is last
    assert "after 2 restarts within 30 s" in str(error)
    assert supervisor.snapshot().state is ActorState.CRASHED
