"""What the snapshot of a tree shows."""

import anyio
import pytest

from sdml_kafka.runtime import (
    Actor,
    ActorRestarting,
    ActorSnapshot,
    ActorState,
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
