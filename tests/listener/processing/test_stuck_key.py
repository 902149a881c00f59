"""Behind one stuck key tens of thousands of records are processed, and nothing is kept of them."""

import gc

import anyio
import pytest

from sdml_kafka import Delivery
from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.offset_map import decode
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.typed_queue import Parcel
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(120)]

COUNT, WAITING = 30_000, 10


def alive() -> int:
    """Return how many objects there are for records that were delivered and not forgotten."""
    gc.collect()
    return sum(isinstance(each, Chunk | Parcel | Job) for each in gc.get_objects())


async def test_what_is_kept_follows_what_has_not_finished() -> None:
    broker, stuck, done = broker_with(), anyio.Event(), 0
    for number in range(COUNT):
        key = b"stuck" if number % (COUNT // WAITING) == 0 else b"%d" % (number % 1000)
        broker.produce(TOPIC, b"x" * 100, partition=0, key=key)

    async def handle(value: str, delivery: Delivery[str]) -> None:
        nonlocal done
        if delivery.record.key == b"stuck":
            await stuck.wait()
        done += 1

    before = alive()
    async with (
        processing_on(broker) as listener,
        processing(listener, handle, order="key", concurrency=20),
    ):
        await until(lambda: done == COUNT - WAITING)
        status = listener.status()
        assert status.partitions[P0].in_flight == WAITING
        assert status.bytes_in_flight == WAITING * 105
        assert alive() - before < 3 * WAITING + 20
        await listener.commit()
        metadata = broker.committed_metadata(GROUP, P0)
        assert len(decode(0, metadata or "")) == WAITING
        stuck.set()
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
