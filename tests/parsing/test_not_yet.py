"""A preparation may need something first itself, and say why in any way."""

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import NotYet

pytestmark = pytest.mark.anyio


async def nothing() -> None:
    pass


async def test_what_is_needed_first_is_waited_for() -> None:
    asked: list[str] = []
    go_on = anyio.Event()

    async def inner() -> None:
        asked.append("inner")
        await go_on.wait()

    async def outer() -> None:
        asked.append("outer")
        raise NotYet("the inner one", inner)

    not_yet = NotYet("the outer one", outer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(not_yet.prepare)
        await anyio.wait_all_tasks_blocked()
        assert (asked, not_yet.why) == (["outer", "inner"], "the inner one")
        go_on.set()
    assert (asked, not_yet.why) == (["outer", "inner"], "the outer one")


async def test_a_wait_that_is_cancelled_begins_again() -> None:
    async def outer() -> None:
        raise NotYet("the inner one", anyio.sleep_forever)

    not_yet = NotYet("the outer one", outer)
    for _ in range(2):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(not_yet.prepare)
                await anyio.wait_all_tasks_blocked()
                assert not_yet.why == "the inner one"
                scope.cancel()
        assert not_yet.why == "the outer one"


async def test_what_is_never_content_lets_others_run() -> None:
    async def again() -> None:
        raise NotYet("again", again)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(NotYet("again", again).prepare)
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert scope.cancelled_caught


async def test_a_reason_that_cannot_be_made() -> None:
    def why() -> str:
        raise LookupError("a secret")

    assert NotYet(why, nothing).why == "why cannot be said (LookupError)"
    assert NotYet(lambda: "a reason", nothing).why == "a reason"
