"""How much work a record costs, in counts that no other load on the machine changes."""

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import sdml_kafka
from benchmarks.documents import documents
from sdml_kafka import KafkaListener, ParserSpec, Record
from sdml_kafka.listener import reader
from sdml_kafka.testing import MemoryBroker
from sdml_kafka.transport.aiokafka.consumer.record_batches import RecordBatches
from tests.transport.aiokafka.consumer.test_record_batches import PLACE, Batch, fetched, log_of

pytestmark = pytest.mark.anyio

PACKAGE = str(Path(sdml_kafka.__file__).parent)
TWIN = str(Path(PACKAGE) / "testing")
COUNT = 10_000


class Calls:
    """Counts calls of Python functions of this package, the twin's aside."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PACKAGE) and not name.startswith(TWIN):
            self.count += 1


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no loop make way for others because the machine is slow."""
    monkeypatch.setattr(reader, "MAX_UNBROKEN_S", 1e9)


@contextmanager
def counted() -> Iterator[Calls]:
    calls = Calls()
    before = sys.getprofile()
    sys.setprofile(calls)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def parse(record: Record) -> object:
    return json.loads(record.value or b"")


def filled() -> MemoryBroker:
    broker = MemoryBroker({"orders": 12})
    for number, document in enumerate(documents("nested", 512, COUNT)):
        broker.produce("orders", document, partition=number % 12)
    return broker


async def read(broker: MemoryBroker, deliveries: bool) -> None:
    parsers: list[ParserSpec[Any]] = [{"topics": ["orders"], "type": dict, "parser": parse}]
    async with KafkaListener(
        parsers, transport=broker.connect("group", auto_offset_reset="earliest")
    ) as listener:
        stream = await listener.subscribe(dict)
        seen = 0
        if deliveries:
            async for delivery in stream.deliveries():
                delivery.done()
                seen += 1
                if seen == COUNT:
                    break
        else:
            async for _ in stream:
                seen += 1
                if seen == COUNT:
                    break


@pytest.mark.parametrize(("deliveries", "most"), [(False, 2.0), (True, 12.0)])
async def test_calls_for_each_record(deliveries: bool, most: float) -> None:
    broker = filled()
    with counted() as calls:
        await read(broker, deliveries)
    assert calls.count / COUNT < most


@pytest.mark.parametrize("deliveries", [False, True])
async def test_collections_for_each_record(deliveries: bool) -> None:
    gc.collect()
    before = gc.get_stats()[0]["collections"]
    await read(filled(), deliveries)
    collections = gc.get_stats()[0]["collections"] - before
    # Values that are parsed long before they are read cost twelve times as many.
    assert collections < 300 * COUNT / 1e5


def test_decoding() -> None:
    batch = Batch([(1, b"key", b"x" * 512, []) for _ in range(1000)])
    records = RecordBatches(PLACE, fetched(log_of([batch] * 10, 0), 0))
    before = gc.get_stats()[0]["collections"]
    with counted() as calls:
        taken = records.take(10_000)
    assert len(taken) == 10_000
    # An object for each record would cost one collection for 700 of them.
    assert gc.get_stats()[0]["collections"] - before < 3
    # A few calls for 128 records: of more at once the garbage collector would take notice.
    assert calls.count < 0.1 * 10_000
