"""How much work a record costs that is processed, in counts that no other load changes."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from benchmarks.documents import documents
from sdml_kafka import Batch, Delivery, KafkaListener, ParserSpec, parse_json
from sdml_kafka.listener.processing.policies import Order
from sdml_kafka.testing import MemoryBroker
from sdml_kafka.workers import pool
from tests.support.counted_work import Work, counted

pytestmark = pytest.mark.anyio

RECORDS = 6000


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no worker make way for others because the machine is slow."""
    monkeypatch.setattr(pool, "BREATH_S", 1e9)


async def process(
    order: Order, *, suspends: bool = False, batch: Batch | None = None, keys: int = 1007
) -> Work:
    broker = MemoryBroker({"orders": 12})
    for number, document in enumerate(documents("nested", 512, RECORDS)):
        broker.produce("orders", document, partition=number % 12, key=b"%d" % (number % keys))
    parsers: list[ParserSpec[Any]] = [{"topics": ["orders"], "type": dict, "parser": parse_json}]
    seen, ended = 0, anyio.Event()

    async def handle(value: object, delivery: Delivery[object]) -> None:
        nonlocal seen
        if suspends:
            await anyio.lowlevel.checkpoint()
        seen += 1
        if seen == RECORDS:
            ended.set()

    async def handle_all(deliveries: list[Delivery[object]]) -> None:
        for delivery in deliveries:
            await handle(None, delivery)

    async with (
        KafkaListener(
            parsers, transport=broker.connect("group", auto_offset_reset="earliest")
        ) as listener,
        anyio.create_task_group() as tasks,
    ):

        async def run() -> None:
            function: Any = handle if batch is None else handle_all
            await listener.process(dict, function, order=order, concurrency=64, batch=batch)

        with counted() as work:
            tasks.start_soon(run)
            await ended.wait()
        tasks.cancel_scope.cancel()
    assert seen == RECORDS
    return work


@pytest.mark.parametrize("order", ["partition", "key", "none"])
async def test_function_calls_for_each_record(order: Order) -> None:
    work = await process(order)
    # To take it, to parse it, to run the handler in a context of its own, and to finish it.
    assert work.calls / RECORDS < 10.0


@pytest.mark.parametrize("order", ["partition", "none"])
async def test_function_calls_for_each_record_of_a_batch(order: Order) -> None:
    work = await process(order, batch=Batch(size=500))
    # To make its delivery, to parse it, and to look whether the handler has settled it.
    assert work.calls / RECORDS < 4.0


async def test_each_record_with_a_key_of_its_own_costs_no_more() -> None:
    few, many = await process("key"), await process("key", keys=RECORDS)
    assert many.calls < 1.05 * few.calls  # one more for each record is 1.12


@pytest.mark.parametrize(("order", "most"), [("partition", 37.0), ("key", 20.0), ("none", 20.0)])
async def test_function_calls_for_each_record_whose_handler_waits(
    order: Order, most: float
) -> None:
    work = await process(order, suspends=True)
    assert work.calls / RECORDS < most
