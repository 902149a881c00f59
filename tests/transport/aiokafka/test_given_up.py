"""Tasks that were given up after a timeout, whose errors asyncio must not log."""

import asyncio
import gc
from typing import Any

import pytest

from sdml_kafka.errors import SendFailed
from sdml_kafka.transport.aiokafka.consumer import internals, shutdown
from sdml_kafka.transport.aiokafka.consumer.positions import start_positions
from sdml_kafka.transport.aiokafka.producer.admin import Admin

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def fail_late(*_: object) -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise OSError("broken off") from None


class Slow:
    client = None
    stop = look_up = fail_late


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    gc.collect()
    return [each.getMessage() for each in caplog.records if each.name == "asyncio"]


async def test_a_look_up_of_positions(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_positions, "POSITION_TIMEOUT_S", 0.01)
    start: Any = Slow()
    assert await start_positions.look_up_in_time(start, (), {}) is None
    assert not logged(caplog)


async def test_a_stop(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "LEAVE_TIMEOUT_S", 0.01)
    monkeypatch.setattr(internals, "leave_group", fail_late)
    monkeypatch.setattr(internals, "finish_stop", fail_late)
    monkeypatch.setattr(shutdown, "FINISH_TIMEOUT_S", 0.01)
    client: Any = Slow()
    await shutdown.stop_consumer(client, 0.01)
    assert not logged(caplog)


async def test_a_request_of_administration(caplog: pytest.LogCaptureFixture) -> None:
    client: Any = Slow()
    admin = Admin(client)
    with pytest.raises(SendFailed):
        await admin._within(fail_late, 0.01, "do it")
    assert not logged(caplog)
