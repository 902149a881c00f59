"""Snapshots, events and logs."""

import logging

import anyio
import pytest

from sdml_kafka.runtime import (
    Actor,
    ActorCrashed,
    ActorFinished,
    ActorRestarting,
    ActorSnapshot,
    ActorStarted,
    ActorState,
    ActorStopped,
    ChildSpec,
    Event,
    Life,
    Mailbox,
    Restarts,
    Supervisor,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
AT_ONCE = Restarts(backoff_s=0)


async def test_the_events_of_a_life(stage: Stage) -> None:
    events: list[Event] = []
    error = ValueError("x")
    children = [stage.spec("a"), stage.spec("b", "transient")]
    supervisor = Supervisor("root", children, restarts=AT_ONCE, on_event=events.append)
    async with supervise(supervisor):
        stage.crash("a", error)
        await stage.until("+a", 2)
        stage.finish("b")
        await stage.until("-b")
    a, b = ("root", "a"), ("root", "b")
    assert events == [
        ActorStarted(a, 0),
        ActorStarted(b, 0),
        ActorCrashed(a, error),
        ActorRestarting(a, 0.0),
        ActorStarted(a, 1),
        ActorFinished(b),
        ActorStopped(a, cancelled=False),
    ]


async def test_a_mailbox_outlives_its_actor_and_is_shown(stage: Stage) -> None:
    inbox = Mailbox[str](5)

    class Reader(Actor):
        mailbox = inbox

        async def run(self, life: Life) -> None:
            life.started()
            with life.cancel_on_stop():
                async for message in inbox:
                    if message == "crash":
                        raise ValueError(message)
                    stage.write(message)

    between_lives: list[ActorSnapshot] = []

    def look(event: Event) -> None:
        if isinstance(event, ActorRestarting):
            between_lives.extend(supervisor.snapshot().children)

    children = [ChildSpec("reader", Reader)]
    supervisor = Supervisor("root", children, restarts=AT_ONCE, on_event=look)
    async with supervise(supervisor):
        for message in ("one", "crash", "two", "three"):
            inbox.send_nowait(message)
        await stage.until("three")
    (reader,) = between_lives
    assert (reader.inbox_depth, reader.inbox_capacity) == (2, 5)
    assert stage.take() == ["one", "two", "three"]
    inbox.close()


async def test_the_snapshot_before_and_after() -> None:
    child = ActorSnapshot("a", ActorState.NEW, 0, None, 0, 0, 0.0)
    supervisor = Supervisor("root", [Stage().spec("a")])
    assert supervisor.snapshot() == ActorSnapshot(
        "root", ActorState.NEW, 0, None, 0, 0, 0.0, (child,)
    )
    async with supervise(supervisor):
        pass
    assert supervisor.snapshot().state is ActorState.STOPPED


def test_a_snapshot_needs_no_event_loop_once_it_is_over() -> None:
    supervisor = Supervisor("root", [])

    async def main() -> None:
        async with supervise(supervisor):
            pass

    anyio.run(main)
    assert supervisor.snapshot().state is ActorState.STOPPED


async def test_an_observer_that_raises_does_no_harm(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        raise ZeroDivisionError

    supervisor = Supervisor("root", [stage.spec("a")], restarts=AT_ONCE, on_event=broken)
    async with supervise(supervisor):
        stage.crash("a")
        await stage.until("+a", 2)
    assert stage.take() == ["+a", "!a", "-a", "+a", "-a"]
    assert any("on_event of root raised at ActorStarted" in m for m in caplog.messages)


async def test_a_crash_is_logged_once_with_name_and_error(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor("root", [stage.spec("a")], restarts=AT_ONCE)
    with caplog.at_level(logging.DEBUG):
        async with supervise(supervisor):
            stage.crash("a", ValueError("broken"))
            await stage.until("+a", 2)
    (record,) = [r for r in caplog.records if r.name.startswith("sdml_kafka")]
    assert (record.name, record.levelname) == ("sdml_kafka.runtime", "ERROR")
    assert record.getMessage() == "actor root/a crashed: ValueError: broken"
    assert record.exc_info is not None
