"""The program that type checkers pass runs on a broker in memory, tested as a user tests it."""

import time

import anyio
import pytest

from sdml_kafka import SKIP, KafkaListener, KafkaRPC, KafkaRPCServer, TopicPartition
from sdml_kafka.testing import MemoryBroker, MemoryRecord, Transport
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until
from tests.typing.typed_actors import mean_of
from tests.typing.typed_program import (
    READ,
    REPLIES,
    Assigned,
    Order,
    add_handlers,
    add_typed_handlers,
    ask,
    in_json,
    parse_order,
    read_deliveries,
    read_orders,
    read_stock,
)

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


def broker_with(*topics: str) -> MemoryBroker:
    return MemoryBroker({topic: 1 for topic in topics}, clock=time.time)


async def test_a_parser() -> None:
    record = MemoryRecord("orders", 0, 0, 0, None, in_json({"item": "figs", "count": 2}))
    assert parse_order(record) == Order("figs", 2)
    assert parse_order(MemoryRecord("orders", 0, 1, 0, None, b"{}")) is SKIP
    assert (record.serialized_key_size, record.serialized_value_size) == (-1, 28)


async def test_the_listener() -> None:
    broker = broker_with("orders", "stock", "notes", "either", "sizes")
    for value in ({"item": "figs", "count": 2}, {"item": "dates"}):
        broker.produce("orders", in_json(value))
    broker.produce("stock", in_json({"figs": 7}))
    assigned = Assigned()
    connect = broker.connect("billing", auto_offset_reset="earliest")
    orders, places, stock = list[Order](), list[tuple[str, int]](), list[object]()
    async with (
        KafkaListener(READ, transport=connect, rebalance_listener=assigned) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(read_orders, listener, orders)
        tasks.start_soon(read_deliveries, listener, places)
        tasks.start_soon(read_stock, listener, stock)
        await until(lambda: bool(orders and places and stock))
        assert TopicPartition("orders", 0) in assigned.partitions
        tasks.cancel_scope.cancel()
    assert (orders, places, stock) == ([Order("figs", 2)], [("dates", 1)], [(7, 7)])


async def test_the_server_and_its_client() -> None:
    broker = broker_with("echo", "note", "price", "split", "all", "prices", "parts", "raw")
    for topic in ("chunks", "pieces", "refund", "json", "later", "size", "count", "counted"):
        broker.create_topic(topic)

    def transport(group: str) -> Transport:
        return Transport(broker.connect(group), broker.connect_producer())

    server = KafkaRPCServer(transport=transport("pricing"))
    add_handlers(server)
    add_typed_handlers(server)
    async with server, KafkaRPC(REPLIES, transport=transport("me")) as rpc:
        answer = "b'a-b' not_found so many are not to be had"
        assert await ask(rpc) == answer


async def test_actors() -> None:
    assert await mean_of([20.0, 22.0]) == 21.0
