"""A revocation keeps to the time that the group waits, however slow each of its steps is."""

from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.listener_on_twin import GROUP, P0, TEXTS, broker_with
from tests.support.processing_on_twin import processing
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


class Slow:
    """A rebalance listener that never ends."""

    def on_partitions_assigned(self, _: object) -> None: ...

    async def on_partitions_revoked(self, _: object) -> None:
        await anyio.sleep_forever()


async def test_what_has_finished_is_committed_in_time() -> None:
    broker, begun = broker_with(*"ab"), list[str]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        begun.append(value)
        if value == "b":
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.45)

    connect = broker.connect(GROUP, auto_offset_reset="earliest", rebalance_timeout_s=4.0)
    transport = Transport(connect, broker.connect_producer())
    slow: Any = {
        "rebalance_listener": Slow(),
        "drain_timeout": 60.0,
        "auto_commit": {"interval_s": 60},
    }
    listener = KafkaListener([TEXTS], transport=transport, **slow)
    async with listener, processing(listener, handle):
        await until(lambda: begun == ["a", "b"])
        broker.slow_down(commit_s=0.9)
        broker.rebalance(GROUP)
        await until(lambda: listener.status().counters.rebalances == 2)
        assert broker.committed(GROUP, P0) == 1
        assert begun.count("a") == 1
