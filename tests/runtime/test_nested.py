"""Supervisors as children."""

import anyio
import pytest

from sdml_kafka.runtime import (
    ActorCrashed,
    ActorState,
    ChildSpec,
    Event,
    Restarts,
    RestartsExhausted,
    StartTimeout,
    Supervisor,
    SupervisorGaveUp,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
AT_ONCE = Restarts(backoff_s=0)
ONCE = Restarts(max_restarts=1, backoff_s=0)


def nest(stage: Stage, names: str = "bc", **settings: object) -> ChildSpec:
    inner = [stage.spec(name) for name in names]

    def factory() -> Supervisor:
        return Supervisor("nested", inner, restarts=ONCE, **settings)  # type: ignore[arg-type]

    return ChildSpec("nested", factory)


async def test_a_tree_starts_in_order_and_stops_in_reverse(stage: Stage) -> None:
    children = [stage.spec("a"), nest(stage), stage.spec("d")]
    async with supervise(Supervisor("root", children)) as supervisor:
        assert stage.take() == ["+a", "+b", "+c", "+d"]
        nested = supervisor.snapshot().children[1]
        assert (nested.name, nested.state) == ("nested", ActorState.RUNNING)
        assert [child.name for child in nested.children] == ["b", "c"]
    assert stage.take() == ["-d", "-c", "-b", "-a"]


async def test_a_failure_is_mended_where_it_happens_and_escalates_when_that_gives_up(
    stage: Stage,
) -> None:
    events: list[Event] = []
    supervisor = Supervisor(
        "root", [stage.spec("a"), nest(stage)], restarts=AT_ONCE, on_event=events.append
    )
    async with supervise(supervisor):
        stage.take()
        stage.crash("b")
        await stage.until("+b")
        assert stage.take() == ["!b", "-b", "+b"]
        stage.crash("b")
        await anyio.wait_all_tasks_blocked()
        assert stage.take() == ["!b", "-b", "-c", "+b", "+c"]
        a, nested = supervisor.snapshot().children
        assert (a.restarts, nested.restarts) == (0, 1)
        assert nested.last_error is not None
        assert nested.last_error.startswith("RestartsExhausted: actor 'b' failed again")
    gave_up = [event.path for event in events if isinstance(event, SupervisorGaveUp)]
    assert gave_up == [("root", "nested")]
    crashed = [event.path for event in events if isinstance(event, ActorCrashed)]
    assert crashed == [("root", "nested", "b")] * 2 + [("root", "nested")]


async def test_an_escalation_to_the_top_shows_the_whole_chain(stage: Stage) -> None:
    error = OSError("the root of it")
    never = Restarts(max_restarts=0)
    with pytest.raises(RestartsExhausted, match="'nested'") as caught:
        async with supervise(Supervisor("root", [nest(stage)], restarts=never)):
            stage.crash("b")
            await stage.until("+b", 2)
            stage.crash("b", error)
            await anyio.sleep_forever()
    below = caught.value.__cause__
    assert isinstance(below, RestartsExhausted)
    assert below.child == "b"
    assert below.__cause__ is error


async def test_a_fatal_error_is_passed_on_as_itself_and_not_logged_as_well(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    error = PermissionError("denied")

    def is_fatal(error: Exception) -> bool:
        return isinstance(error, PermissionError)

    children = [nest(stage, is_fatal=is_fatal)]
    with pytest.raises(PermissionError) as caught:
        async with supervise(Supervisor("root", children, is_fatal=is_fatal)):
            stage.crash("b", error)
            await anyio.sleep_forever()
    assert caught.value is error
    assert caplog.messages == []  # the error is raised, which suffices


async def test_a_nested_supervisors_own_observer_gets_the_events(stage: Stage) -> None:
    above: list[Event] = []
    own: list[Event] = []
    children = [stage.spec("a"), nest(stage, on_event=own.append)]
    async with supervise(Supervisor("root", children, on_event=above.append)):
        pass
    assert {event.path for event in above} == {("root", "a"), ("root", "nested")}
    assert {event.path for event in own} == {("root", "nested", "b"), ("root", "nested", "c")}


async def test_a_failure_in_the_first_start_below_comes_out_as_itself(stage: Stage) -> None:
    async def fail() -> None:
        raise OSError("no disk")

    inner = [stage.spec("b"), stage.spec("c", on_start=fail)]
    children = [stage.spec("a"), ChildSpec("nested", lambda: Supervisor("nested", inner))]
    with pytest.raises(OSError, match="no disk"):
        async with supervise(Supervisor("root", children)):
            pytest.fail("must not be entered")
    assert stage.take() == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_an_interrupt_below_goes_all_the_way_up(stage: Stage) -> None:
    with pytest.raises(SystemExit):
        async with supervise(Supervisor("root", [stage.spec("a"), nest(stage)])):
            stage.crash("c", SystemExit(3))
            await anyio.sleep_forever()
    assert sorted(stage.take()) == ["!c", "+a", "+b", "+c", "-a", "-b", "-c"]


async def test_a_start_timeout_names_the_innermost_actor(stage: Stage) -> None:
    inner = [stage.spec("b", on_start=anyio.sleep_forever)]
    nested = ChildSpec("nested", lambda: Supervisor("nested", inner), start_timeout_s=0.2)
    with pytest.raises(StartTimeout, match=r"'b' was not ready within 0\.2 s"):
        async with supervise(Supervisor("root", [nested])):
            pytest.fail("must not be entered")
