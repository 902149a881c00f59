"""The parts of the producers' contract: a broker to act on, and a record of outcomes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.producer import ConnectProducer, OnSent, Producer
from sdml_kafka.transport.interfaces.records import Record, TopicPartition

PATIENCE_S = 30.0
CALL_S = 10.0


class ProducerWorld(Protocol):
    """A broker under test, which creates no topic by itself."""

    def connect(self) -> ConnectProducer: ...
    def connect_consumer(self, group: str) -> Connect: ...

    def name(self) -> str:
        """Return a new name for a topic or a group."""
        ...

    async def create_topic(self, topic: str, partitions: int, **config: str) -> None:
        """Create a topic with Kafka's settings of a topic, dots in their names as they are."""

    async def records(self, partition: TopicPartition) -> list[Record]:
        """Return all records of a partition."""
        ...

    async def go_away(self) -> None:
        """Stop every broker, until `come_back`."""

    async def come_back(self) -> None: ...


class Outcomes:
    """The outcomes that were reported for each record, by the name that the test gave it."""

    def __init__(self) -> None:
        self.reported: dict[object, list[Exception | None]] = {}
        self._news = anyio.Event()

    def of(self, name: object) -> OnSent:
        def on_sent(error: Exception | None) -> None:
            self.reported.setdefault(name, []).append(error)
            self._news.set()

        return on_sent

    async def wait_for(self, count: int) -> None:
        with anyio.fail_after(PATIENCE_S):
            while len(self.reported) < count:
                self._news = anyio.Event()
                await self._news.wait()

    async def one(self, name: object) -> Exception | None:
        with anyio.fail_after(PATIENCE_S):
            while name not in self.reported:
                self._news = anyio.Event()
                await self._news.wait()
        (outcome,) = self.reported[name]
        return outcome


@asynccontextmanager
async def started(connect: ConnectProducer) -> AsyncGenerator[Producer]:
    async with connect() as producer:
        await producer.start(CALL_S)
        yield producer
