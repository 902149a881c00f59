"""A record that waits for long keeps nothing of those that came with it."""

import gc
from typing import Any

import anyio
import pytest

from sdml_kafka import DeadLetter, Delivery, Retry
from sdml_kafka.listener.processing.work import Work
from sdml_kafka.listener.typed_queue import Parcel
from tests.support.listener_on_twin import P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


def parcels() -> list[Parcel]:
    """Return all parcels that there are, those of other tests as well."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, Parcel)]


@pytest.mark.parametrize(
    "options",
    [
        {"retry": Retry(attempts=2, backoff_s=20.0)},
        {"on_failure": DeadLetter("absent")},
    ],
)
async def test_a_failed_record_keeps_no_other(options: dict[str, Any]) -> None:
    broker, earlier = broker_with("bad", *["x" * 1000] * 99), set(map(id, others := parcels()))
    done = 0

    async def handle(value: str, delivery: Delivery[str]) -> None:
        nonlocal done
        await anyio.sleep(0.001)
        done += 1
        if value == "bad":
            raise ValueError(value)

    async with (
        processing_on(broker, drain_timeout=0.1) as listener,
        processing(listener, handle, order="none", **options),
    ):
        await until(lambda: done == 100)
        await anyio.sleep(5)
        assert listener.status().partitions[P0].in_flight == 1
        assert sum(len(each.records) for each in parcels() if id(each) not in earlier) == 1
    del others  # until here none of their ids could be another parcel's


async def test_thousands_of_long_handlers_are_not_looked_at_for_each_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, own = 0, Work._running_items

    def count(work: Work) -> Any:
        nonlocal looks
        looks += 1
        return own(work)

    monkeypatch.setattr(Work, "_running_items", count)
    broker, done = broker_with(*["stuck"] * 300), 0

    async def handle(value: str, delivery: Delivery[str]) -> None:
        nonlocal done
        if value == "stuck":
            await anyio.sleep_forever()
        done += 1

    async with (
        processing_on(broker, drain_timeout=0.1) as listener,
        processing(listener, handle, order="none", concurrency=400),
    ):
        for number in range(1, 201):
            broker.produce(TOPIC, b"x", partition=0)
            await until(lambda number=number: done == number)  # type: ignore[misc]
        assert looks < 50
