"""Failures that no restart mends, on their way out of the `async with`."""

import anyio
import pytest

from sdml_kafka.runtime import (
    Actor,
    ActorState,
    ChildSpec,
    Life,
    Restarts,
    RestartsExhausted,
    Supervisor,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
NEVER = Restarts(max_restarts=0)


class Denied(Exception):
    pass


def is_denied(error: Exception) -> bool:
    return isinstance(error, Denied)


async def test_the_body_cleans_up_while_the_services_still_run(stage: Stage) -> None:
    supervisor = Supervisor("root", [stage.spec("a"), stage.spec("b")], restarts=NEVER)
    with pytest.raises(RestartsExhausted):
        async with supervise(supervisor):
            stage.take()
            stage.crash("b")
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.move_on_after(5, shield=True):
                    await anyio.wait_all_tasks_blocked()
                    await anyio.lowlevel.checkpoint()
                    assert supervisor.snapshot().children[0].state is ActorState.RUNNING
                    stage.write("cleaned up")
    assert stage.take() == ["!b", "-b", "cleaned up", "-a"]


async def test_a_fatal_error_comes_out_as_itself_at_once(stage: Stage) -> None:
    error = Denied("wrong password")
    with pytest.raises(Denied) as caught:
        async with supervise(Supervisor("root", [stage.spec("a")], is_fatal=is_denied)):
            stage.crash("a", error)
            await anyio.sleep_forever()
    assert caught.value is error
    assert stage.take() == ["+a", "!a", "-a"]


async def test_a_fatal_error_cuts_a_backoff_short(stage: Stage) -> None:
    slow = Restarts(backoff_s=100, backoff_max_s=100)
    supervisor = Supervisor(
        "root", [stage.spec("a"), stage.spec("b")], restarts=slow, is_fatal=is_denied
    )
    with pytest.raises(Denied):
        async with supervise(supervisor):
            stage.crash("a")
            await anyio.wait_all_tasks_blocked()
            assert supervisor.snapshot().children[0].state is ActorState.RESTARTING
            stage.crash("b", Denied())
            await anyio.sleep_forever()


async def test_a_fatal_error_of_a_temporary_child_is_fatal_too(stage: Stage) -> None:
    supervisor = Supervisor("root", [stage.spec("a", "temporary")], is_fatal=is_denied)
    with pytest.raises(Denied):
        async with supervise(supervisor):
            stage.crash("a", Denied())
            await anyio.sleep_forever()


async def test_a_fatal_error_of_an_earlier_child_ends_the_start(stage: Stage) -> None:
    async def crash_first() -> None:
        stage.crash("a", Denied())
        await anyio.sleep_forever()

    children = [stage.spec("a"), stage.spec("b", on_start=crash_first)]
    with pytest.raises(Denied):
        async with supervise(Supervisor("root", children, is_fatal=is_denied)):
            pytest.fail("must not be entered")
    assert stage.take() == ["+a", "+b", "!a", "-a", "-b"]


async def test_an_is_fatal_that_raises_counts_as_yes(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: Exception) -> bool:
        raise ZeroDivisionError

    with pytest.raises(Denied):
        async with supervise(Supervisor("root", [stage.spec("a")], is_fatal=broken)):
            stage.crash("a", Denied())
            await anyio.sleep_forever()
    assert "is_fatal of root raised; that counts as yes" in caplog.messages


async def test_the_exception_of_the_body_wins_and_gets_a_note(stage: Stage) -> None:
    with pytest.raises(KeyError) as caught:
        async with supervise(Supervisor("root", [stage.spec("a")], restarts=NEVER)):
            stage.crash("a")
            try:
                await anyio.sleep_forever()
            finally:
                raise KeyError("cleanup")
    (note,) = caught.value.__notes__
    assert note.startswith("Supervisor 'root' failed as well: RestartsExhausted: actor 'a'")


async def test_a_body_that_ends_by_itself_does_not_hide_the_failure(stage: Stage) -> None:
    with pytest.raises(RestartsExhausted):
        async with supervise(Supervisor("root", [stage.spec("a")], restarts=NEVER)):
            stage.crash("a")
            with anyio.move_on_after(5, shield=True):
                await anyio.wait_all_tasks_blocked()


async def test_failures_after_giving_up_are_noted_and_not_mended(stage: Stage) -> None:
    supervisor = Supervisor("root", [stage.spec("a"), stage.spec("b")], is_fatal=is_denied)
    with pytest.raises(Denied, match="first"):
        async with supervise(supervisor):
            stage.crash("a", Denied("first"))
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.move_on_after(5, shield=True):
                    stage.crash("b", Denied("second"))
                    await stage.until("-b")
    assert supervisor.snapshot().children[1].last_error == "Denied: second"


async def test_groups_of_one_are_unwrapped_and_larger_ones_kept(stage: Stage) -> None:
    one = Denied("one")
    nested = ExceptionGroup("outer", [ExceptionGroup("inner", [one])])
    with pytest.raises(Denied) as caught:
        async with supervise(Supervisor("root", [stage.spec("a")], is_fatal=is_denied)):
            stage.crash("a", nested)
            await anyio.sleep_forever()
    assert caught.value is one

    several = ExceptionGroup("several", [Denied("one"), ValueError("two")])
    with pytest.raises(RestartsExhausted) as exhausted:
        async with supervise(Supervisor("root", [stage.spec("a")], restarts=NEVER)):
            stage.crash("a", several)
            await anyio.sleep_forever()
    assert isinstance(exhausted.value.__cause__, ExceptionGroup)
    assert exhausted.value.__cause__.exceptions == several.exceptions


async def test_a_task_group_of_a_child_fails_as_its_one_exception() -> None:
    class Parent(Actor):
        async def run(self, life: Life) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                life.started()
                await anyio.wait_all_tasks_blocked()
                raise Denied("inside")

    with pytest.raises(Denied, match="inside"):
        async with supervise(Supervisor("root", [ChildSpec("a", Parent)], is_fatal=is_denied)):
            await anyio.sleep_forever()
