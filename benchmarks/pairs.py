"""Pairs of a client and a server that answers with what it was sent: by hand, and ours."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from attrs import frozen

from benchmarks.documents import nested
from benchmarks.observers import NO_HOOKS, SPANS_BY_HAND, SpansByHand, options_of
from sdml_kafka import Call, KafkaRPC, KafkaRPCServer, parse_bytes, parse_json, to_json
from sdml_kafka.transport.client_choice import Client

PRODUCER: dict[str, Any] = {"acks": "all", "linger_ms": 0, "max_batch_size": 1 << 20}
"""The settings that ours has as well. The pair by hand has no deadlines, no idempotence, and no
handling of errors."""
FETCH_MAX_WAIT_MS = 250

Request = Callable[[Any], Awaitable[Any]]


@frozen
class Payload:
    """What calls carry, and how either pair reads and writes it."""

    type_: type
    make: Callable[[int, int], Callable[[int], Any]]
    """Takes the size and the number of different payloads, and returns what makes the payload of
    the call of a number."""
    belongs: Callable[[Any, Any], bool]
    """Tells whether a reply belongs to what was sent."""
    parser: Callable[[Any], Any]
    serializer: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]
    """Reads a payload in the pair by hand."""
    dumps: Callable[[Any], bytes]


def _numbers(size: int, count_: int) -> Callable[[int], bytes]:
    return lambda number: b"%0*d" % (size, number)


def _orders(size: int, count_: int) -> Callable[[int], dict[str, Any]]:
    few = [json.loads(nested(number, size)) for number in range(count_)]
    return lambda number: {**few[number % count_], "id": f"o-{number}"}


def _same(value: bytes) -> bytes:
    return value


PAYLOADS = {
    "plain": Payload(
        bytes, _numbers, lambda sent, reply: bool(sent == reply), parse_bytes, _same, _same, _same
    ),
    "nested JSON": Payload(
        dict,
        _orders,
        lambda sent, reply: bool(sent["id"] == reply["id"]),
        parse_json,
        to_json,
        json.loads,
        lambda order: json.dumps(order, separators=(",", ":")).encode(),
    ),
}


@asynccontextmanager
async def server_by_hand(bootstrap: str, topic: str, payload: Payload) -> AsyncGenerator[None]:
    """Serve on bare aiokafka."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **PRODUCER)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=f"{topic}-server",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
    )
    loads, dumps = payload.loads, payload.dumps

    async def serve() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    headers = dict(record.headers)
                    await producer.send(
                        headers["x-reply-topic"].decode(),
                        dumps(loads(record.value)),
                        headers=[("request_id", headers["request_id"])],
                    )

    await producer.start()
    await consumer.start()
    serving = asyncio.create_task(serve())
    try:
        yield
    finally:
        serving.cancel()
        await consumer.stop()
        await producer.stop()


@asynccontextmanager
async def client_by_hand(bootstrap: str, topic: str, payload: Payload) -> AsyncGenerator[Request]:
    """Call on bare aiokafka."""
    loop = asyncio.get_running_loop()
    reply_topic = f"{topic}-reply"
    waiting: dict[bytes, asyncio.Future[Any]] = {}
    numbers = count()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **PRODUCER)
    consumer = AIOKafkaConsumer(
        reply_topic,
        bootstrap_servers=bootstrap,
        group_id=f"{topic}-client",
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        enable_auto_commit=False,
    )
    loads, dumps = payload.loads, payload.dumps

    async def read() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    future = waiting.pop(dict(record.headers)["request_id"], None)
                    if future is not None and not future.done():
                        future.set_result(loads(record.value))

    async def request(value: Any) -> Any:
        id_ = b"bare-%d" % next(numbers)
        future: asyncio.Future[Any] = loop.create_future()
        waiting[id_] = future
        headers = [("request_id", id_), ("x-reply-topic", reply_topic.encode())]
        await producer.send(topic, dumps(value), headers=headers)
        return await future

    await producer.start()
    await consumer.start()
    await consumer.seek_to_end()
    reading = asyncio.create_task(read())
    try:
        yield request
    finally:
        reading.cancel()
        await consumer.stop()
        await producer.stop()


@asynccontextmanager
async def our_server(
    bootstrap: str,
    topic: str,
    payload: Payload,
    client: Client = "aiokafka",
    observer: str = NO_HOOKS,
) -> AsyncGenerator[None]:
    """Serve with this package."""
    server = KafkaRPCServer(
        group_id=f"{topic}-server",
        bootstrap_servers=bootstrap,
        client=client,
        **options_of(observer),
    )
    serializer: Any = None if payload.serializer is _same else payload.serializer

    async def echo(value: Any, call: Call) -> Any:
        return value

    spans = SpansByHand(topic)

    async def traced(value: Any, call: Call) -> Any:
        return await spans.serve(call.headers, lambda: echo(value, call))

    handler = traced if observer == SPANS_BY_HAND else echo
    server.handler(topic, parser=payload.parser, serializer=serializer)(handler)
    async with server:
        yield


@asynccontextmanager
async def our_client(
    bootstrap: str,
    topic: str,
    payload: Payload,
    client: Client = "aiokafka",
    observer: str = NO_HOOKS,
    dialect: Literal["native", "spring", "nestjs"] = "native",
) -> AsyncGenerator[Request]:
    """Call with this package."""
    type_: Any = payload.type_
    parsers: Any = [{"topics": [f"{topic}-reply"], "type": type_, "parser": payload.parser}]
    serialize = payload.serializer
    seen: dict[str, Any] = {**options_of(observer), "dialect": dialect}
    async with KafkaRPC(parsers, bootstrap_servers=bootstrap, client=client, **seen) as rpc:

        async def request(value: Any) -> Any:
            return await rpc.request(topic, serialize(value), res_expect_type=type_)

        spans = SpansByHand(topic)

        async def traced(value: Any) -> Any:
            return await spans.request(
                lambda headers: rpc.request(
                    topic, serialize(value), res_expect_type=type_, req_headers=headers
                )
            )

        yield traced if observer == SPANS_BY_HAND else request
