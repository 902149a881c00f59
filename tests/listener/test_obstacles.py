"""A listener that gets no partitions reports what its consumer found out last."""

import anyio
import pytest

from sdml_kafka import CoordinatorUnavailable
from sdml_kafka.testing.memory.consumer import MemoryConsumer
from sdml_kafka.transport.interfaces.reports import Health
from tests.support.listener_on_twin import GROUP, TOPIC, broker_with, listener_on
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_what_the_poll_past_the_start_timeout_brought_is_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = broker_with()
    monkeypatch.setattr(
        MemoryConsumer,
        "_health",
        lambda *_: Health(True, {}, obstacle=CoordinatorUnavailable("none")),
    )
    async with broker.connect(GROUP)() as other:
        await other.start([TOPIC], 5.0)
        await other.poll([], 500, 1.0)  # takes the partitions, and does not release them
        with anyio.fail_after(5.0), pytest.raises(CoordinatorUnavailable):
            async with listener_on(broker, start_timeout=0.1):
                pytest.fail("entered")
