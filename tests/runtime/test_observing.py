"""What the observer and the log get to know."""

import logging
from asyncio import CancelledError

import pytest

from sdml_kafka.runtime import (
    ActorCrashed,
    ActorFinished,
    ActorRestarting,
    ActorStarted,
    ActorStopped,
    Event,
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


@pytest.mark.parametrize("error", [ZeroDivisionError, CancelledError])
async def test_an_observer_that_raises_does_no_harm(
    stage: Stage, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def broken(event: Event) -> None:
        raise error

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
    record, again = [r for r in caplog.records if r.name.startswith("sdml_kafka")]
    assert again.levelname == "INFO"
    assert "actor root/a runs again" in again.getMessage()
    assert "ValueError: broken" in again.getMessage()
    assert (record.name, record.levelname) == ("sdml_kafka.runtime", "ERROR")
    assert record.getMessage() == "actor root/a crashed: ValueError: broken"
    assert record.exc_info is not None


def test_an_event_knows_the_name() -> None:
    assert ActorStarted(("root", "a"), 0).name == "a"
