"""A client and a server on a real broker."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from sdml_kafka import Call, KafkaRPC, KafkaRPCServer
from sdml_kafka.testing import EmbeddedKafka
from tests.support.clients import arguments
from tests.support.kafka_from_outside import create_topic, unique


def client_on(kafka: EmbeddedKafka, **options: Any) -> KafkaRPC:
    return KafkaRPC(bootstrap_servers=kafka.bootstrap_servers, **arguments(**options))


def server_on(kafka: EmbeddedKafka, topic: str, handler: Any, **options: Any) -> KafkaRPCServer:
    options = {"group_id": unique("server"), "heartbeat_interval_ms": 300, **options}
    server = KafkaRPCServer(bootstrap_servers=kafka.bootstrap_servers, **arguments(**options))
    server.handler(topic)(handler)
    return server


async def reverse(value: bytes, call: Call) -> bytes:
    return value[::-1]


@asynccontextmanager
async def pair_on(
    kafka: EmbeddedKafka,
    handler: Any = reverse,
    *,
    partitions: int = 4,
    server: Mapping[str, Any] | None = None,
    **client_options: Any,
) -> AsyncGenerator[tuple[KafkaRPC, str]]:
    """Run a server with this handler, and yield a client and the topic that the server serves.

    `server` are further options of the server.
    """
    topic = await create_topic(kafka.bootstrap_servers, unique("request"), partitions)
    async with (
        server_on(kafka, topic, handler, concurrency=1000, **(server or {})),
        client_on(kafka, **client_options) as rpc,
    ):
        yield rpc, topic


async def all_of(count: int, call: Callable[[int], Awaitable[object]]) -> list[Any]:
    """Make `count` calls at once, and return their results or errors by their numbers."""
    outcomes: list[Any] = [None] * count

    async def run(number: int) -> None:
        try:
            outcomes[number] = await call(number)
        except Exception as error:
            outcomes[number] = error

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(run, number)
    return outcomes


def values(count: int) -> list[bytes]:
    return [b"value-%d" % number for number in range(count)]


def reversed_(requests: Sequence[bytes]) -> list[bytes]:
    return [request[::-1] for request in requests]
