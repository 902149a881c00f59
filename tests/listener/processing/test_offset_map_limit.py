"""A processor begins nothing beyond what has finished while the offset map is nearly full."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sdml_kafka import Batch, Delivery
from sdml_kafka.consuming.offsets import map_limit, offset_map, tenancy
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

RECORDS = 400


@pytest.fixture(autouse=True)
def small_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a map be full with some 60 offsets, and take 120."""
    for module in (map_limit, tenancy):
        monkeypatch.setattr(module, "ALWAYS_FITS", 40)
    monkeypatch.setattr(map_limit, "FULL_TEXT", 16)
    monkeypatch.setattr(map_limit, "LOOK_EVERY", 4)
    monkeypatch.setattr(offset_map, "MAX_TEXT", 24)


class Handler:
    """Is stuck with every fifth record until it is let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.finished: set[int] = set()
        self.released = 0
        """Records below this number are not stuck."""
        self._freed = anyio.Event()

    def release(self, below: int) -> None:
        self.released = below
        self._freed.set()
        self._freed = anyio.Event()

    async def __call__(self, value: str, delivery: Delivery[str]) -> None:
        await self.handle(int(value))

    async def batch(self, deliveries: list[Delivery[str]]) -> None:
        for delivery in deliveries:
            await self.handle(int(delivery.value))

    async def handle(self, number: int) -> None:
        self.begun.append(number)
        while number % 5 == 0 and number >= self.released:
            await self._freed.wait()
        self.finished.add(number)

    async def is_still(self) -> int:
        """Return how many records have begun, once no more do."""
        count = -1
        while count != len(self.begun):
            count = len(self.begun)
            await anyio.sleep(5)
        return count


def by_record(handler: Handler) -> tuple[Any, dict[str, Any]]:
    return handler, {}


def by_batch(handler: Handler) -> tuple[Any, dict[str, Any]]:
    return handler.batch, {"batch": Batch(size=1, interval_s=0.0)}


@pytest.mark.parametrize("order", ["none", "key"])
@pytest.mark.parametrize("how", [by_record, by_batch])
async def test_nothing_begins_beyond_what_has_finished_until_the_frontier_moves(
    how: Callable[[Handler], tuple[Any, dict[str, Any]]], order: Any
) -> None:
    broker, handler = broker_with(), Handler()
    for number in range(RECORDS):
        broker.produce(TOPIC, b"%d" % number, key=b"%d" % number, partition=0)
    handle, options = how(handler)
    async with (
        processing_on(broker, auto_commit={"interval_s": 1.0}) as listener,
        processing(listener, handle, order=order, concurrency=300, **options),
    ):
        begun = await handler.is_still()
        assert 40 < begun < 150
        assert max(handler.begun) == begun - 1
        metadata = broker.committed_metadata(GROUP, P0)
        assert metadata, "it was full, and not too long"
        assert offset_map.decode(0, metadata)[-1][1] == begun
        assert listener.status().processors["Handler" if not options else "Handler.batch"].queued

        handler.release(41)  # the frontier moves
        more = await handler.is_still()
        assert begun < more < 200
        assert sorted(handler.begun) == list(range(more))

        handler.release(RECORDS)
        await until(lambda: len(handler.finished) == RECORDS)
    assert len(handler.begun) == RECORDS
    assert (broker.committed(GROUP, P0), broker.committed_metadata(GROUP, P0)) == (RECORDS, "")


async def test_without_a_map_nothing_is_held_back() -> None:
    broker, handler = broker_with(*map(str, range(RECORDS))), Handler()
    async with (
        processing_on(broker, offset_map=False, drain_timeout=0.1) as listener,
        processing(listener, handler, order="none", concurrency=300),
    ):
        assert await handler.is_still() == RECORDS
