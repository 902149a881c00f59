"""A program as a new user writes it, with all that the package offers, which types strictly.

It reads orders, prices them by calls, and answers calls itself.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, assert_type

import anyio
import anyio.lowlevel

from sdml_kafka import (
    SKIP,
    AutoCommit,
    Batch,
    Call,
    CallTimeout,
    DeadLetter,
    Dedupe,
    Delivery,
    KafkaListener,
    KafkaRPC,
    KafkaRPCServer,
    ListenerStatus,
    Parser,
    ParserSpec,
    Record,
    RemoteError,
    ReplyStream,
    Retry,
    Send,
    Skip,
    TopicPartition,
    TypeStream,
    parse_bytes,
    parse_json,
    parse_text,
)

# -- parsers ---------------------------------------------------------------------------------


@dataclass
class Order:
    item: str
    count: int


@dataclass
class Refund:
    item: str


class Fields(dict[str, Any]):
    """A class of the program's own that is a dict."""


def parse_order(record: Record) -> Order | Skip:
    fields = parse_json(record)
    return Order(fields["item"], fields["count"]) if "count" in fields else SKIP


async def parse_refund(record: Record) -> Refund | Skip:
    await anyio.lowlevel.checkpoint()
    fields: dict[str, Any] = parse_json(record)
    if "count" in fields:
        raise SKIP
    return Refund(fields["item"])


def in_json(value: object) -> bytes:
    return json.dumps(value).encode()


def order_in_json(order: Order) -> bytes:
    return in_json(asdict(order))


def parse_either(record: Record) -> Order | Refund:
    fields = parse_json(record)
    return Order(**fields) if "count" in fields else Refund(**fields)


ORDERS: ParserSpec[Order] = {"topics": ["orders"], "type": Order, "parser": parse_order}
REFUNDS: ParserSpec[Refund] = {"topics": ["orders"], "type": Refund, "parser": parse_refund}
LATER: Parser[Refund] = parse_refund


# -- a listener ------------------------------------------------------------------------------


class Assigned:
    """A rebalance listener: plain and async methods, as one likes."""

    def __init__(self) -> None:
        self.partitions = set[TopicPartition]()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.partitions |= assigned

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await anyio.lowlevel.checkpoint()
        self.partitions -= revoked


async def note_poison(record: Record, error: Exception) -> None:
    print(f"{record.topic} {record.offset}: {error}")


READ: list[ParserSpec[Any]] = [
    ORDERS,
    REFUNDS,
    {"topics": ["stock"], "type": dict[str, Any], "parser": parse_json},
    {"topics": ["notes"], "type": str, "parser": parse_text},
    {"topics": ["either"], "type": Order | Refund, "parser": parse_either},
    {"topics": ["sizes"], "type": int, "parser": lambda record: len(record.value or b"")},
]


def new_listener(bootstrap: str, assigned: Assigned) -> KafkaListener:
    return KafkaListener(
        READ,
        bootstrap_servers=bootstrap,
        group_id="billing",
        auto_commit={"every": 100},
        rebalance_listener=assigned,
        on_parse_error=note_poison,
        auto_offset_reset="earliest",
    )


async def read_orders(listener: KafkaListener, orders: list[Order]) -> None:
    stream = await listener.subscribe(Order)
    assert_type(stream, TypeStream[Order])
    async for order in stream:
        assert_type(order, Order)
        orders.append(order)


async def read_deliveries(listener: KafkaListener, places: list[tuple[str, int]]) -> None:
    async def handle(delivery: Delivery[Refund]) -> None:
        async with delivery:
            record = delivery.record
            sizes = record.serialized_key_size, record.serialized_value_size
            assert_type(sizes, tuple[int, int])
            assert_type(record.headers, Sequence[tuple[str, bytes]])
            assert_type(record.timestamp + record.timestamp_type, int)
            if record.value is not None and record.key is None:
                places.append((delivery.value.item, record.offset))

    async with await listener.subscribe(Refund) as stream, anyio.create_task_group() as tasks:
        async for delivery in stream.deliveries():
            tasks.start_soon(handle, delivery)


async def read_stock(listener: KafkaListener, seen: list[Any]) -> None:
    by_class = await listener.subscribe(dict)
    assert_type(by_class, TypeStream[dict[Any, Any]])
    by_type = await listener.subscribe(dict[str, Any], fresh=True, queue_maxsize=10)
    assert_type(by_type, TypeStream[dict[str, Any]])
    async for stock in by_type:
        fields = await anext(by_class)
        seen.append((stock["figs"], fields["figs"]))
        await listener.commit()


async def read_other_types(listener: KafkaListener) -> None:
    assert_type(await listener.subscribe(Fields), TypeStream[Fields])
    assert_type(await listener.subscribe(list[int]), TypeStream[list[int]])
    async for either in await listener.subscribe(Order | Refund):
        print(either)


# -- processors ------------------------------------------------------------------------------


def add_processors(listener: KafkaListener, done: list[str]) -> None:
    @listener.processor(Order, order="key", retry=Retry(attempts=3), on_failure=DeadLetter())
    async def bill(order: Order, delivery: Delivery[Order]) -> Send:
        return Send("bills", in_json(delivery.attempt), key=order.item.encode())

    @listener.processor(Refund, concurrency=1)
    def refund(refund: Refund, delivery: Delivery[Refund]) -> list[Send] | None:  # in a thread
        return [Send("bills", None, key=refund.item.encode())] if delivery.record.key else None

    @listener.processor(str, batch=Batch(size=10))
    async def note(deliveries: list[Delivery[str]]) -> None:
        done.extend(each.value for each in deliveries)

    assert_type(refund, Callable[[Refund, Delivery[Refund]], list[Send] | None])
    print(bill, note)


async def process_orders(listener: KafkaListener, done: list[str]) -> None:
    async def bill(order: Order, delivery: Delivery[Order]) -> tuple[Send, ...]:
        return (Send("bills", b""), Send("books", b""))

    def store(deliveries: Sequence[Delivery[Refund]]) -> None:
        done.extend(each.value.item for each in deliveries)

    async def either(value: Order | Refund, delivery: Delivery[Order | Refund]) -> Send | None:
        return Send("bills", b"") if isinstance(value, Order) else None

    async def look(value: object, delivery: Delivery[Any]) -> None: ...

    await listener.process(Order, bill, concurrency=20, name="bills")
    await listener.process(Refund, store, batch=Batch(interval_s=1.0))
    await listener.process(dict[str, Any], look)
    await listener.process(Order | Refund, either)
    await listener.process(str, lambda text, delivery: done.append(text))


# -- a server --------------------------------------------------------------------------------


def new_server(bootstrap: str) -> KafkaRPCServer:
    return KafkaRPCServer(
        bootstrap_servers=bootstrap, group_id="pricing", dedupe=Dedupe(), max_age_s=3600
    )


def add_handlers(server: KafkaRPCServer) -> None:
    @server.handler("echo")
    async def echo(value: bytes, call: Call) -> bytes:
        return value + (call.key or b"")

    @server.handler("note", parser=parse_text, concurrency=1)
    def note(text: str, call: Call) -> None:  # in a thread
        print(text, call.topic, call.id, call.remaining_s, call.reply_topics)

    @server.handler("price", parser=parse_order, serializer=in_json)
    async def price(order: Order, call: Call) -> dict[str, int]:
        if order.count > 1000:
            raise RemoteError("not_found", "so many are not to be had")
        return {"price": 3 * order.count}

    @server.handler("split", parser=parse_order, serializer=order_in_json)
    async def split(order: Order, call: Call) -> AsyncIterator[Order]:
        for _ in range(order.count):
            if not call.is_cancelled:
                yield Order(order.item, 1)

    @server.handler("chunks", "pieces", parser=parse_bytes)
    async def chunks(value: bytes, call: Call) -> AsyncIterator[bytes]:
        yield value[:1]
        yield value[1:]

    @server.handler("all", parser=parse_text)
    async def everything(text: str, call: Call) -> bytes:
        assert_type(await echo(b"a", call), bytes)
        assert_type(note(text, call), None)
        assert_type([item.count async for item in split(Order("figs", 2), call)], list[int])
        chunked = [item async for item in chunks(b"ab", call)]
        assert_type(chunked, list[bytes])
        return b"-".join(chunked)


def add_typed_handlers(server: KafkaRPCServer) -> None:
    @server.handler("refund", parser=parse_refund, serializer=order_in_json)
    async def refund(refund: Refund, call: Call) -> Order | None:
        return Order(refund.item, 1) if refund.item else None

    @server.handler("json", parser=parse_json, serializer=in_json)
    def anything(fields: dict[str, Any], call: Call) -> list[str]:
        return list(fields)

    @server.handler("later", parser=LATER)
    async def later(refund: Refund, call: Call) -> bytes:
        return refund.item.encode()

    @server.handler("size", parser=lambda record: len(record.value or b""))
    async def size(length: int, call: Call) -> bytes:
        return str(length).encode()

    class Counter:
        count = 0

        async def __call__(self, value: bytes, call: Call) -> bytes:
            self.count += 1
            return str(self.count).encode()

        def by_method(self, value: bytes, call: Call) -> bytes:
            return str(self.count).encode()

    counter = Counter()
    server.handler("count")(counter)
    server.handler("counted")(counter.by_method)


# -- a client --------------------------------------------------------------------------------


REPLIES: list[ParserSpec[Any]] = [
    {"topics": ["prices"], "type": dict[str, int], "parser": parse_json},
    {"topics": ["parts"], "type": Order, "parser": parse_order},
    {"topics": ["raw"], "type": bytes, "parser": parse_bytes},
]


def new_client(bootstrap: list[str]) -> KafkaRPC:
    return KafkaRPC(REPLIES, bootstrap_servers=bootstrap, own_partition=True)


async def ask(rpc: KafkaRPC) -> str:
    value = in_json({"item": "figs", "count": 2})
    price = await rpc.request("price", value, res_expect_type=dict[str, int], res_timeout=5.0)
    assert_type(price, dict[str, int])
    by_class = await rpc.request("price", value, req_key="figs", res_expect_type=dict)
    assert_type(by_class, dict[Any, Any])
    assert_type(await rpc.request("echo", b"", res_expect_type=bytes), bytes)
    parts = rpc.stream("split", value, res_expect_type=Order, max_waiting=10)
    assert_type(parts, ReplyStream[Order])
    async with parts:
        async for part in parts:
            assert_type(part, Order)
    async for fields in rpc.stream("price", value, res_expect_type=dict):
        assert_type(fields, dict[Any, Any])
    headers = {"trace": b"1"}
    anything = await rpc.request("all", None, req_headers=headers, req_headers_reply_to=["raw"])
    await rpc.notify("note", b"hello", req_key="figs", res_timeout=None)
    try:
        too_many = in_json({"item": "figs", "count": 2000})
        await rpc.request("price", too_many, server_group="pricing", correlation_id="1")
    except CallTimeout as error:
        return f"{error} {error.__cause__}"
    except RemoteError as error:
        return f"{anything} {error.status} {error.text}"
    return ""


# -- together --------------------------------------------------------------------------------


def show(status: ListenerStatus) -> None:
    for partition, at in status.partitions.items():
        print(partition.topic, partition.partition, at.lag, at.held, status.counters.parse_errors)


async def main(bootstrap: str) -> None:
    listener = new_listener(bootstrap, Assigned())
    server = new_server(bootstrap)
    add_handlers(server)
    add_typed_handlers(server)
    async with server, new_client([bootstrap]) as rpc, listener, anyio.create_task_group() as tasks:
        tasks.start_soon(read_orders, listener, list[Order]())
        tasks.start_soon(ask, rpc)
        show(listener.status())
        print(listener.assigned_table(), rpc.status().counters, server.status().counters)
        await server.serve_forever()


async def without_a_context() -> None:
    listener = KafkaListener(
        [ORDERS], bootstrap_servers="localhost:9092", group_id="g", auto_commit=AutoCommit(every=1)
    )
    await listener.start()
    await listener.stop()
