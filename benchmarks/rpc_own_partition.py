"""Measure what a client reads that shares its reply topic with others.

    uv run python benchmarks/rpc_own_partition.py [--clients 1 10 50] [--calls 100] [--bytes 1000]

The script starts the embedded Kafka. All clients make the same number of calls at the same time,
with and without `own_partition`; the reply topic has twice as many partitions as there are clients.
Every byte counts that comes in over the sockets of the reply consumers while the calls are made,
group traffic and empty answers included. The output is the median and the maximum over the clients.
Clients choose their partitions at random, so some share one.
"""

import argparse
import asyncio
import statistics
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from attrs import frozen

from sdml_kafka import Call, KafkaRPC, KafkaRPCServer, parse_bytes
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.frames import FrameReader

numbers = count()


@frozen
class Read:
    """What the clients read; sequences hold one number per client."""

    received: Sequence[int]
    """The bytes that came in while the calls were made."""
    replies: int
    """The bytes of the replies that each client waited for."""
    foreign: Sequence[int]
    """The number of replies to other clients that came in."""

    @property
    def median(self) -> float:
        return statistics.median(self.received)


class Wire:
    """Counts the bytes that come in, for each socket: as asyncio's streams, or as frames."""

    def __init__(self) -> None:
        self._read: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    @contextmanager
    def counting(self) -> Iterator[None]:
        read = self._read
        feed_data, buffer_updated = asyncio.StreamReader.feed_data, FrameReader.buffer_updated

        def feed(reader: asyncio.StreamReader, data: bytes) -> None:
            read[reader] = read.get(reader, 0) + len(data)
            feed_data(reader, data)

        def update(reader: FrameReader, nbytes: int) -> None:
            read[reader] = read.get(reader, 0) + nbytes
            buffer_updated(reader, nbytes)

        with (
            patch.object(asyncio.StreamReader, "feed_data", feed),
            patch.object(FrameReader, "buffer_updated", update),
        ):
            yield

    def received(self, consumer: Any) -> int:
        connections = consumer._client._conns.values()
        readers = [connection._reader for connection in connections]
        readers += [connection._writer.transport.get_protocol() for connection in connections]
        return sum(self._read.get(reader, 0) for reader in readers)


class Client:
    """One of the clients that share the reply topic."""

    def __init__(self, bootstrap: str, reply_topic: str, own_partition: bool) -> None:
        self._bootstrap = bootstrap
        self._group = f"{reply_topic}-{next(numbers)}"
        self.consumer: Any = None
        self.rpc = KafkaRPC(
            [{"topics": [reply_topic], "type": bytes, "parser": parse_bytes}],
            bootstrap_servers=bootstrap,
            consumer_factory=self._consumer,
            own_partition=own_partition,
        )

    def _consumer(self) -> AIOKafkaConsumer:
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=self._group, fetch_max_wait_ms=250
        )
        return self.consumer

    async def make_calls(self, topic: str, calls: int, value: bytes) -> None:
        replies = await asyncio.gather(
            *(self.rpc.request(topic, value, res_timeout=120.0) for _ in range(calls))
        )
        assert replies == [value] * calls


async def measure(
    bootstrap: str, clients: int, calls: int, size: int, *, own_partition: bool
) -> Read:
    topic = f"own-{next(numbers)}"
    reply_topic = f"{topic}-reply"
    await create(bootstrap, {topic: 4, reply_topic: 2 * clients})
    server = KafkaRPCServer(bootstrap_servers=bootstrap, group_id=topic)

    @server.handler(topic)
    async def echo(value: bytes, call: Call) -> bytes:
        return value

    wire, value = Wire(), b"x" * size
    with wire.counting():
        async with server, AsyncExitStack() as stack:
            own = [Client(bootstrap, reply_topic, own_partition) for _ in range(clients)]
            for client in own:
                await stack.enter_async_context(client.rpc)
            before = [wire.received(client.consumer) for client in own]
            await asyncio.gather(*(client.make_calls(topic, calls, value) for client in own))
            foreign = await all_read(own, calls)
            after = [wire.received(client.consumer) for client in own]
    received = [late - early for early, late in zip(before, after, strict=True)]
    return Read(received, calls * size, foreign)


async def all_read(clients: Sequence[Client], calls: int) -> Sequence[int]:
    """Wait until all replies are read, and return how many replies to others each client has read.

    A client has its own replies before it has read all replies to others.
    """
    status = [client.rpc.status() for client in clients]
    read = [each.reply_partitions for each in status]
    expected = [calls * (read.count(partitions) - 1) for partitions in read]
    while [each.counters.foreign_replies for each in status] != expected:
        await asyncio.sleep(0.01)
        status = [client.rpc.status() for client in clients]
    return expected


async def create(bootstrap: str, topics: dict[str, int]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, count_, 1) for name, count_ in topics.items()])
    await admin.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--clients", type=int, nargs="+", default=[1, 10, 50])
    arguments.add_argument("--calls", type=int, default=100)
    arguments.add_argument("--bytes", type=int, default=1000)
    options = arguments.parse_args()
    print(
        f"{'clients':>8}{'own_partition':>15}{'KB read, median':>17}{'most':>8}{'own replies':>13}"
    )
    with EmbeddedKafka() as kafka:
        for own_partition in (True, False):
            for clients in options.clients:
                read = asyncio.run(
                    measure(
                        kafka.bootstrap_servers,
                        clients,
                        options.calls,
                        options.bytes,
                        own_partition=own_partition,
                    )
                )
                print(
                    f"{clients:>8}{own_partition!s:>15}{read.median / 1000:>17.0f}"
                    f"{max(read.received) / 1000:>8.0f}{read.replies / 1000:>13.0f}"
                )


if __name__ == "__main__":
    main()
