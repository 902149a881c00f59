"""A client by hand on the in-memory twin: the test writes requests and reads replies itself."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sdml_kafka import Call, KafkaRPCServer, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.log import MemoryRecord
from sdml_kafka.testing.memory.state import loop_time
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.headers import header
from tests.support.waiting import until

REQUEST, REPLY, GROUP = "request", "reply", "group"
P0, P1 = TopicPartition(REQUEST, 0), TopicPartition(REQUEST, 1)
PATIENCE_S = 60.0


def new_broker(partitions: int = 1, **topics: int) -> MemoryBroker:
    return MemoryBroker({REQUEST: partitions, REPLY: 1, **topics})


def server_on(broker: MemoryBroker, **options: Any) -> KafkaRPCServer:
    consumer = broker.connect(GROUP, auto_offset_reset="earliest")
    transport = Transport(consumer, broker.connect_producer())
    return KafkaRPCServer(transport=transport, clock=loop_time, **options)


@asynccontextmanager
async def serving(
    broker: MemoryBroker, handler: Callable[..., Any], **options: Any
) -> AsyncGenerator[KafkaRPCServer]:
    """Run a server of the topic `request` with this handler."""
    of_handler = {
        name: options.pop(name) for name in ("parser", "serializer", "limit") if name in options
    }
    server = server_on(broker, **options)
    server.handler(
        REQUEST,
        parser=of_handler.get("parser"),
        serializer=of_handler.get("serializer"),
        concurrency=of_handler.get("limit"),
    )(handler)
    async with server:
        yield server


def ask(
    broker: MemoryBroker,
    value: bytes | None = b"value",
    id_: bytes | str | None = b"1",
    *,
    reply_to: Sequence[str] = (REPLY,),
    timeout_ms: int | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
    key: bytes | None = None,
    partition: int = 0,
    topic: str = REQUEST,
) -> MemoryRecord:
    """Write a request, as a program in another language might."""
    all_headers = [("x-reply-topic", name.encode()) for name in reply_to]
    if id_ is not None:
        all_headers.append(("request_id", id_.encode() if isinstance(id_, str) else id_))
    if timeout_ms is not None:
        all_headers.append(("x-timeout-ms", b"%d" % timeout_ms))
    all_headers += headers
    return broker.produce(topic, value, headers=all_headers, key=key, partition=partition)


async def echo(value: bytes, call: Call) -> bytes:
    return value


def cancel(broker: MemoryBroker, id_: bytes = b"1", partition: int = 0) -> None:
    headers = [("request_id", id_), ("x-cancel", b"1")]
    broker.produce(REQUEST, b"", headers=headers, partition=partition)


def outcome(record: MemoryRecord) -> bytes:
    """Return the value of a reply, or the status of an error reply."""
    status = header(record, "x-status")
    assert status is not None
    return (record.value or b"") if status == b"ok" else status


async def replies(
    broker: MemoryBroker, count: int, topic: str = REPLY, partition: int = 0
) -> list[MemoryRecord]:
    """Wait for `count` replies, check that there are no more, and return them."""
    where = TopicPartition(topic, partition)
    await until(lambda: len(broker.records(where)) >= count)
    records = list(broker.records(where))
    assert len(records) == count
    return records


async def reply(broker: MemoryBroker, topic: str = REPLY, partition: int = 0) -> MemoryRecord:
    (record,) = await replies(broker, 1, topic, partition)
    return record


async def outcomes(broker: MemoryBroker, count: int) -> list[bytes]:
    return [outcome(record) for record in await replies(broker, count)]


def no_replies(broker: MemoryBroker, topic: str = REPLY, partition: int = 0) -> bool:
    return not broker.records(TopicPartition(topic, partition))


async def finished(broker: MemoryBroker, server: KafkaRPCServer, count: int) -> None:
    """Wait until the server has finished `count` records, and has none in hand."""
    await until(
        lambda: (
            server.status().in_flight == 0
            and sum(p.position for p in server.status().partitions.values()) >= count
        )
    )


def echoing(broker: MemoryBroker, **options: object) -> KafkaRPCServer:
    server = server_on(broker, **options)
    server.handler(REQUEST)(echo)
    return server
