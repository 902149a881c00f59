"""What the contract of producers needs: a broker to act on, and somebody who counts outcomes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

from sdml_kafka.transport.interfaces import (
    Connect,
    ConnectProducer,
    OnSent,
    Producer,
    Record,
    TopicPartition,
)

PATIENCE_S = 30.0
CALL_S = 10.0


class ProducerWorld(Protocol):
    """A broker under test, which creates no topic by itself."""

    def connect(self) -> ConnectProducer: ...
    def connect_consumer(self, group: str) -> Connect: ...

    def name(self) -> str:
        """A new name for a topic or a group."""
        ...

    async def create_topic(self, topic: str, partitions: int) -> None: ...
    async def records(self, partition: TopicPartition) -> list[Record]:
        """All that it holds."""
        ...

    async def go_away(self) -> None:
        """No broker answers any more."""

    async def come_back(self) -> None: ...


class Outcomes:
    """What was told of each record, by the name that the test gave it."""

    def __init__(self) -> None:
        self.told: dict[object, list[Exception | None]] = {}
        self._news = anyio.Event()

    def of(self, name: object) -> OnSent:
        def on_sent(error: Exception | None) -> None:
            self.told.setdefault(name, []).append(error)
            self._news.set()

        return on_sent

    async def wait_for(self, count: int) -> None:
        with anyio.fail_after(PATIENCE_S):
            while len(self.told) < count:
                self._news = anyio.Event()
                await self._news.wait()

    async def one(self, name: object) -> Exception | None:
        with anyio.fail_after(PATIENCE_S):
            while name not in self.told:
                self._news = anyio.Event()
                await self._news.wait()
        (outcome,) = self.told[name]
        return outcome


@asynccontextmanager
async def started(connect: ConnectProducer) -> AsyncGenerator[Producer]:
    async with connect() as producer:
        await producer.start(CALL_S)
        yield producer
