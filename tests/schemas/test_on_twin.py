"""Records with schemas through listeners, processors, producers and calls, on the twin."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    ClientClosed,
    KafkaProducer,
    KafkaRPC,
    NotYet,
    Record,
    RemoteError,
    SchemaRegistry,
    Send,
    SendFailed,
    TopicPartition,
)
from sdml_kafka.schemas.source import SchemaText
from sdml_kafka.schemas.wire import HEADERS, number_prefix
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.client_by_hand import REPLY, REQUEST, new_broker, server_on
from tests.support.listener_on_twin import P0, TOPIC
from tests.support.processing_on_twin import processing, processing_on
from tests.support.schemas import ORDER_AVRO, ORDER_JSON, FakeRegistry
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


class Order(dict[str, Any]):
    """An order."""


def encoded(number: int) -> bytes:
    return number_prefix(number) + b'{"id": %d, "item": "figs"}' % number


def registry_of(client: FakeRegistry) -> SchemaRegistry:
    if not client.schemas:
        client.add("orders-value", SchemaText("JSON", ORDER_JSON))
    return SchemaRegistry(client=client)


async def test_a_processor_over_an_outage_of_the_registry() -> None:
    client = FakeRegistry()
    registry = registry_of(client)
    broker = MemoryBroker({TOPIC: 1})
    parsers = [{"topics": [TOPIC], "type": dict, "parser": registry.parser(dict)}]
    seen: list[int] = []

    async def handle(order: dict[str, Any], delivery: Any) -> None:
        seen.append(order["id"])

    async with (
        processing_on(broker, parsers=parsers) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.process, dict, handle)
        broker.produce(TOPIC, encoded(1))
        await until(lambda: seen == [1])
        client.add("orders-value", SchemaText("JSON", ORDER_JSON))
        client.is_away = True
        broker.produce(TOPIC, encoded(2))
        broker.produce(TOPIC, encoded(7))  # which nobody knows
        broker.produce(TOPIC, encoded(1))
        await anyio.sleep(30)
        health = listener.health()
        assert health.state == "held"
        assert "record 1 waits: schema registry away: there is no connection" in health.reason
        assert 2 not in seen
        client.is_away = False
        await until(lambda: sorted(seen) == [1, 1, 2])
        await until(lambda: listener.status().counters.parse_errors == 1)
        await until(lambda: listener.health().ready)
        tasks.cancel_scope.cancel()
    assert broker.committed("group", P0) == 4


async def test_a_producer_waits_and_writes_headers() -> None:
    client = FakeRegistry()
    registry = registry_of(client)
    client.add("bills-value", SchemaText("AVRO", ORDER_AVRO))
    broker = MemoryBroker({TOPIC: 1})
    to_order = registry.serializer("orders-value")
    to_bill = registry.serializer("bills-value", ORDER_AVRO, id_in="header")
    order = Order(id=1, item="figs")
    client.is_away = True
    transport = broker.connect_producer()
    async with KafkaProducer(transport=transport, serializers={Order: to_order}) as producer:
        with pytest.raises(SendFailed, match="schema registry away: there is no connection"):
            await producer.send(TOPIC, order, timeout_s=5.0)
        client.is_away = False
        sent = await producer.send(TOPIC, order)
        waiting = await producer.send_soon(TOPIC, order)
        assert (sent.offset, (await waiting.sent()).offset) == (0, 1)
    async with KafkaProducer(transport=transport, serializers={Order: to_bill}) as producer:
        await producer.send(TOPIC, order, headers=[("own", b"1")])
    first, _, third = broker.records(P0)
    assert first.value == number_prefix(1) + b'{"id":1,"item":"figs"}'
    assert [name for name, _ in third.headers] == ["own", HEADERS["value"]]


async def test_a_flush_waits_for_schemas_as_well() -> None:
    client = FakeRegistry(takes_s=5.0)
    to_order = registry_of(client).serializer("orders-value")
    broker = MemoryBroker({TOPIC: 1})
    transport = broker.connect_producer()
    async with (
        KafkaProducer(transport=transport, serializers={Order: to_order}) as producer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(producer.send, TOPIC, Order(id=1, item="figs"))
        await anyio.sleep(1)
        await producer.flush()
        assert len(broker.records(P0)) == 1


async def test_a_producer_that_is_left_waits_for_no_schema() -> None:
    client = FakeRegistry()
    to_order = registry_of(client).serializer("orders-value")
    client.is_away = True
    broker = MemoryBroker({TOPIC: 1})
    producer = KafkaProducer(transport=broker.connect_producer(), serializers={Order: to_order})
    errors: list[Exception] = []

    async def send() -> None:
        try:
            await producer.send(TOPIC, Order(id=1, item="figs"), timeout_s=100.0)
        except Exception as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        async with producer:
            tasks.start_soon(send)
            await anyio.sleep(3)
        began = anyio.current_time()
    assert anyio.current_time() - began < 1
    (error,) = errors
    assert isinstance(error, ClientClosed)
    assert not broker.records(P0)


async def test_what_a_parser_waits_for_may_wait_itself() -> None:
    first: list[bool] = []

    async def first_of_all() -> None:
        await anyio.sleep(5)
        first.append(True)

    async def prepare() -> None:
        if not first:
            raise NotYet("the first", first_of_all)
        done.append(True)

    done: list[bool] = []

    def parse(record: Record) -> bytes:
        if not done:
            raise NotYet("the second", prepare)
        return record.value or b""

    seen: list[bytes] = []

    async def handle(value: bytes, delivery: Any) -> None:
        seen.append(value)

    broker = MemoryBroker({TOPIC: 1})
    parsers = [{"topics": [TOPIC], "type": bytes, "parser": parse}]
    async with (
        processing_on(broker, parsers=parsers) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.process, bytes, handle)
        broker.produce(TOPIC, b"figs")
        await anyio.sleep(2)
        assert listener.status().partitions[P0].waits_for == "record 0 waits: the first"
        await until(lambda: seen == [b"figs"])
        assert listener.status().counters.parse_errors == 0
        tasks.cancel_scope.cancel()


async def test_what_a_handler_sends() -> None:
    client = FakeRegistry()
    registry = registry_of(client)
    broker = MemoryBroker({TOPIC: 1, "orders": 1})
    to_order = registry.serializer("orders-value", id_in="header")

    async def handle(value: str, delivery: Any) -> Send:
        return Send("orders", Order(id=1, item=value))

    async with (
        processing_on(broker, serializers={Order: to_order}) as listener,
        processing(listener, handle),
    ):
        broker.produce(TOPIC, b"figs")
        await until(lambda: listener.status().counters.finished == 1)
    (record,) = broker.records(TopicPartition("orders", 0))
    assert record.value == b'{"id":1,"item":"figs"}'
    assert dict(record.headers)[HEADERS["value"]][:1] == b"\1"


async def test_calls() -> None:
    client = FakeRegistry()
    registry = registry_of(client)
    broker = new_broker()
    parse = registry.parser(dict)

    async def price(order: dict[str, Any], call: Any) -> dict[str, Any]:
        return {**order, "item": "dates"}

    async def prices(order: dict[str, Any], call: Any) -> AsyncIterator[dict[str, Any]]:
        for number in range(3):
            yield {**order, "id": number}

    broker.create_topic("stream")
    server = server_on(broker)
    replies = [{"topics": [REPLY], "type": dict, "parser": registry.parser(dict)}]
    transport = Transport(broker.connect("client"), broker.connect_producer())
    for topic, handler in ((REQUEST, price), ("stream", prices)):
        to_order = registry.serializer("orders-value")
        server.handler(topic, parser=parse, serializer=to_order)(handler)
    with pytest.raises(NotYet):
        to_order({"id": 1})
    rpc: Any = KafkaRPC(replies, transport=transport)  # type: ignore[arg-type]
    async with server, rpc:
        reply = await rpc.request(REQUEST, encoded(1), res_expect_type=dict)
        assert reply == {"id": 1, "item": "dates"}
        async with rpc.stream("stream", encoded(1), res_expect_type=dict) as stream:
            assert [each["id"] async for each in stream] == [0, 1, 2]
        client.is_away = True
        client.add("orders-value", SchemaText("JSON", ORDER_JSON))
        with pytest.raises(TimeoutError):
            await rpc.request(REQUEST, encoded(2), res_expect_type=dict, res_timeout=5.0)
        with pytest.raises(RemoteError, match="does not parse"):
            client.is_away = False
            await rpc.request(REQUEST, encoded(9), res_expect_type=dict)


@pytest.mark.parametrize("dialect", ["native", "spring", "nestjs"])
async def test_calls_whose_schemas_are_in_headers(dialect: Any) -> None:
    registry = registry_of(FakeRegistry())
    to_order = registry.serializer("orders-value", id_in="header")
    broker = new_broker()
    server = server_on(broker)

    async def price(order: dict[str, Any], call: Any) -> dict[str, Any]:
        assert HEADERS["value"] in dict(call.headers)
        return {**order, "item": "dates"}

    server.handler(REQUEST, parser=registry.parser(dict), serializer=to_order)(price)
    replies = [{"topics": [REPLY], "type": dict, "parser": registry.parser(dict)}]
    transport = Transport(broker.connect("client"), broker.connect_producer())
    rpc: Any = KafkaRPC(replies, transport=transport, dialect=dialect)  # type: ignore[arg-type]
    await to_order.prepare()
    async with server, rpc:
        request = to_order({"id": 1, "item": "figs"})
        reply = await rpc.request(REQUEST, request, res_expect_type=dict)
        assert reply == {"id": 1, "item": "dates"}
        await rpc.notify(REQUEST, request)
    (record,) = broker.records(TopicPartition(REPLY, 0))
    assert record.value == b'{"id":1,"item":"dates"}'
    assert HEADERS["value"] in dict(record.headers)


async def test_a_reply_is_held_no_longer_than_its_caller_waits() -> None:
    async def echo(value: bytes, call: Any) -> bytes:
        return value

    client = FakeRegistry()
    client.is_away = True
    broker = new_broker()
    server = server_on(broker)
    server.handler(REQUEST)(echo)
    replies = [{"topics": [REPLY], "type": dict, "parser": registry_of(client).parser(dict)}]
    transport = Transport(broker.connect("client"), broker.connect_producer())
    rpc: Any = KafkaRPC(replies, transport=transport)  # type: ignore[arg-type]
    async with server, rpc:
        with pytest.raises(TimeoutError):
            await rpc.request(REQUEST, encoded(1), res_expect_type=dict, res_timeout=5.0)
        asked = len(client.asked)
        await anyio.sleep(100)
        assert 1 < asked == len(client.asked)


async def test_a_servers_parser_may_ask_any_number_of_times() -> None:
    left = 10_000  # far more than Python lets functions call each other, restarts included

    async def nothing() -> None:
        pass

    def parse(record: Record) -> bytes:
        nonlocal left
        left -= 1
        if left > 0:
            raise NotYet("not yet", nothing)
        return record.value or b""

    async def echo(value: bytes, call: Any) -> bytes:
        return value

    broker = new_broker()
    server = server_on(broker)
    server.handler(REQUEST, parser=parse)(echo)
    replies = [{"topics": [REPLY], "type": bytes, "parser": lambda record: record.value}]
    transport = Transport(broker.connect("client"), broker.connect_producer())
    rpc: Any = KafkaRPC(replies, transport=transport)  # type: ignore[arg-type]
    async with server, rpc:
        assert await rpc.request(REQUEST, b"figs", res_expect_type=bytes) == b"figs"
