"""Programs that are wrong: each marked line has to be an error in strict pyright, and no other one.

This file is never run; `check_programs.py` compares it with what pyright says.
"""

import json
from collections.abc import AsyncIterator

from sdml_kafka import (
    Batch,
    Call,
    Delivery,
    KafkaListener,
    KafkaRPC,
    KafkaRPCServer,
    ParserSpec,
    Record,
    Send,
    Skip,
    TypeStream,
    parse_bytes,
    parse_json,
    parse_text,
)
from sdml_kafka.testing import MemoryBroker

server = KafkaRPCServer(bootstrap_servers="localhost:9092", group_id="pricing")
rpc = KafkaRPC(bootstrap_servers="localhost:9092")


class Order:
    price: int


def parse_order(record: Record) -> Order | Skip:
    raise NotImplementedError


async def parse_order_later(record: Record) -> Order | Skip:
    raise NotImplementedError


def of_bytes(value: bytes) -> Order:
    raise NotImplementedError


def order_in_json(order: Order) -> bytes:
    raise NotImplementedError


# -- specs and listeners ---------------------------------------------------------------------

ORDERS: ParserSpec[Order] = {"topics": ["orders"], "type": Order, "parser": parse_order}
Orders = ParserSpec[Order]
of_texts: Orders = {"topics": ["a"], "type": Order, "parser": parse_text}  # expect-error
without_a_parser: Orders = {"topics": ["a"], "type": Order}  # expect-error
misspelt: Orders = {"topic": ["a"], "type": Order, "parser": parse_order}  # expect-error
takes_bytes: Orders = {"topics": ["a"], "type": Order, "parser": of_bytes}  # expect-error
no_tombstones = KafkaListener(
    [
        {
            "topics": ["a"],
            "type": object,
            "parser": lambda record: json.loads(record.value),  # expect-error
        }
    ]
)
no_such_field = KafkaListener(
    [{"topics": ["a"], "type": int, "parser": lambda record: record.size}]  # expect-error
)
one_spec = KafkaListener(ORDERS)  # expect-error
commits_by_size = KafkaListener([ORDERS], auto_commit={"size": 3})  # expect-error
every_text = KafkaListener([ORDERS], auto_commit={"every": "3"})  # expect-error
policy = KafkaListener([ORDERS], on_parse_error="drop")  # expect-error


class OnlyAssigned:
    def on_partitions_assigned(self, assigned: object) -> None: ...


class TakesTexts:
    def on_partitions_assigned(self, assigned: list[str]) -> None: ...
    def on_partitions_revoked(self, revoked: list[str]) -> None: ...


def handle_wrongly(record: bytes, error: Exception) -> None: ...


lacks_a_method = KafkaListener([ORDERS], rebalance_listener=OnlyAssigned())  # expect-error
takes_texts = KafkaListener([ORDERS], rebalance_listener=TakesTexts())  # expect-error
takes_a_value = KafkaListener([ORDERS], on_parse_error=handle_wrongly)  # expect-error
a_whole_broker = KafkaListener([ORDERS], transport=MemoryBroker({"a": 1}))  # expect-error


async def read(listener: KafkaListener) -> None:
    orders: TypeStream[Order] = await listener.subscribe(str)  # expect-error
    stream = listener.subscribe(Order)
    async for _ in stream:  # expect-error
        pass
    async for order in await listener.subscribe(Order):
        order.cost  # expect-error
    async for fields in await listener.subscribe(dict[str, int]):
        fields[0]  # expect-error
    async for delivery in orders.deliveries():
        delivery.value.cost  # expect-error
        delivery.record.size  # expect-error
        delivery.record.value.decode()  # expect-error
        delivery.record.offset = 3  # expect-error
        delivery.fail("no")  # expect-error
        handle(delivery)  # expect-error


def handle(delivery: Delivery[str]) -> None: ...


# -- processors ------------------------------------------------------------------------------

billing = KafkaListener([ORDERS])


@billing.processor(Order)  # expect-error
async def bill_without_its_delivery(order: Order) -> None: ...


@billing.processor(Order)  # expect-error
async def bill_a_text(text: str, delivery: Delivery[Order]) -> None: ...


@billing.processor(Order)  # expect-error
def bill_with_a_delivery_of_texts(order: Order, delivery: Delivery[str]) -> None: ...


@billing.processor(Order, order="key")  # expect-error
async def bill_and_return_bytes(order: Order, delivery: Delivery[Order]) -> bytes:
    return b""


@billing.processor(Order)  # expect-error
def bill_and_return_a_number_in_a_thread(order: Order, delivery: Delivery[Order]) -> int:
    return order.price


@billing.processor(Order)  # expect-error
async def bill_and_yield(order: Order, delivery: Delivery[Order]) -> AsyncIterator[Send]:
    yield Send("bills", b"")


@billing.processor(Order, batch=Batch())  # expect-error
async def bill_one(order: Order, delivery: Delivery[Order]) -> None: ...


@billing.processor(Order, batch=Batch())  # expect-error
async def bill_orders(orders: list[Order]) -> None: ...


@billing.processor(Order)  # expect-error
async def bill_several(deliveries: list[Delivery[Order]]) -> None: ...


async def takes_a_text_for_an_order(text: str, delivery: Delivery[Order]) -> None: ...


async def returns_bytes_of_an_order(order: Order, delivery: Delivery[Order]) -> bytes:
    return b""


async def takes_an_order_alone(order: Order) -> None: ...


async def takes_one(order: Order, delivery: Delivery[Order]) -> None: ...


async def takes_several(deliveries: list[Delivery[Order]]) -> None: ...


async def process_wrongly(listener: KafkaListener) -> None:
    await listener.process(Order, takes_a_text_for_an_order)  # expect-error
    await listener.process(Order, returns_bytes_of_an_order)  # expect-error
    await listener.process(Order, takes_an_order_alone)  # expect-error
    await listener.process(Order, takes_one, batch=Batch())  # expect-error
    await listener.process(Order, takes_several)  # expect-error
    await listener.process(Order, takes_one, order="keys")  # expect-error


# -- handlers --------------------------------------------------------------------------------


@server.handler("a")  # expect-error
async def takes_no_call(value: bytes) -> bytes:
    return value


@server.handler("a")  # expect-error
async def takes_a_text(value: str, call: Call) -> bytes:
    return value.encode()


@server.handler("a")  # expect-error
async def takes_a_record(value: bytes, call: Record) -> bytes:
    return value


@server.handler("a")  # expect-error
async def returns_a_text(value: bytes, call: Call) -> str:
    return value.decode()


@server.handler("a")  # expect-error
def returns_a_text_in_a_thread(value: bytes, call: Call) -> str:
    return value.decode()


@server.handler("a")  # expect-error
async def yields_texts(value: bytes, call: Call) -> AsyncIterator[str]:
    yield value.decode()


@server.handler("a", parser=parse_order)  # expect-error
async def takes_what_is_not_parsed(value: bytes, call: Call) -> bytes:
    return value


@server.handler("a", parser=parse_order_later)  # expect-error
async def takes_what_is_not_parsed_later(value: str, call: Call) -> bytes:
    return value.encode()


@server.handler("a", parser=parse_order, serializer=order_in_json)  # expect-error
async def returns_what_is_not_serialized(order: Order, call: Call) -> int:
    return order.price


@server.handler("a", parser=parse_order, serializer=order_in_json)  # expect-error
def returns_it_in_a_thread(order: Order, call: Call) -> int:
    return order.price


@server.handler("a", parser=parse_order, serializer=order_in_json)  # expect-error
async def yields_what_is_not_serialized(order: Order, call: Call) -> AsyncIterator[int]:
    yield order.price


@server.handler("a", parser=parse_bytes, serializer=order_in_json)  # expect-error
async def takes_an_order(order: Order, call: Call) -> Order:
    return order


@server.handler("a", parser=json.loads)  # expect-error
async def parses_a_record_as_json(value: bytes, call: Call) -> bytes:
    return value


@server.handler("a", serializer=json.dumps)  # expect-error
async def serializes_to_a_text(value: bytes, call: Call) -> list[int]:
    return list(value)


@server.handler("a", parser=parse_json, limit=3)  # expect-error
async def limited(value: list[int], call: Call) -> bytes:
    return bytes(value)


# -- calls -----------------------------------------------------------------------------------


async def ask(rpc: KafkaRPC) -> None:
    order: Order = await rpc.request("a", b"", res_expect_type=bytes)  # expect-error
    order = rpc.request("a", b"", res_expect_type=Order)  # expect-error
    await rpc.request("a", "text")  # expect-error
    await rpc.request("a", b"", timeout=3.0)  # expect-error
    await rpc.request("a", b"", res_expect_type=Order, res_timeout="3")  # expect-error
    await rpc.request("a", b"", propagate_corr_to="topic")  # expect-error
    await rpc.request("a", b"", req_headers={"a": 1})  # expect-error
    async for part in rpc.stream("a", b"", res_expect_type=Order):
        part.cost  # expect-error
    await rpc.stream("a", b"")  # expect-error
    await rpc.notify("a", b"", res_expect_type=bytes)  # expect-error
    fields = await rpc.request("a", b"", res_expect_type=dict[str, int])
    fields[0]  # expect-error
    print(order)


async def look(call: Call) -> None:
    call.scope.cancel("why", "else")  # expect-error
    call.remaining_s + 1  # expect-error
    call.running_scope  # expect-error
