"""A hot key holds up its own records, and no others of its partition."""

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener
from sdml_kafka.listener.dispatch import dispatcher
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

COUNT = 6000
OTHERS = COUNT * 2 // 3


def with_hot_key() -> MemoryBroker:
    broker = broker_with()
    for number in range(COUNT):
        key = b"hot" if number % 3 == 0 else b"%d" % (number % 300)
        broker.produce(TOPIC, b"x", partition=0, key=key)
    return broker


class Handler:
    def __init__(self) -> None:
        self.hot: list[int] = []
        self.others = 0

    async def __call__(self, value: str, delivery: Delivery[str]) -> None:
        if delivery.record.key == b"hot":
            await anyio.sleep(0.1)
            self.hot.append(delivery.record.offset)
        else:
            await anyio.sleep(0.001)
            self.others += 1


def waiting(listener: KafkaListener) -> int:
    return listener.status().partitions[P0].in_flight


@pytest.mark.parametrize("max_in_flight", [100, 1000])
async def test_others_are_done_while_the_hot_key_has_most_to_do(max_in_flight: int) -> None:
    broker, handler = with_hot_key(), Handler()
    async with (
        processing_on(broker, max_in_flight=max_in_flight) as listener,
        processing(listener, handler, order="key", concurrency=32),
    ):
        await until(lambda: handler.others == OTHERS)
        assert len(handler.hot) < COUNT // 3 // 10
        await listener.commit()
        committed = broker.committed(GROUP, P0)
        assert committed is not None
        assert committed <= 3 * (len(handler.hot) + 1)
        await until(lambda: len(handler.hot) == COUNT // 3, 300)
    assert handler.hot == list(range(0, COUNT, 3))


async def test_what_waits_behind_a_busy_key_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "MAX_BEHIND", 1000)
    broker, handler = with_hot_key(), Handler()
    most = 0
    async with (
        processing_on(broker, max_in_flight=100) as listener,
        processing(listener, handler, order="key", concurrency=32),
    ):
        while handler.others < OTHERS // 2:
            await anyio.sleep(0.1)
            most = max(most, waiting(listener))
    assert 500 < most <= 600
