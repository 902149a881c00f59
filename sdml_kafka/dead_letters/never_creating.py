"""A producer that never lets a broker create the topics that it sends to."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from sdml_kafka.transport.interfaces.producer import ConnectProducer, Producer


class NeverCreating:
    """Opens producers that create no topic; a `ConnectProducer`."""

    def __init__(self, connect: ConnectProducer) -> None:
        self._connect = connect

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[Producer]:
        """Open a producer."""
        async with self._connect() as producer:
            yield cast("Producer", _Wrapped(producer))


class _Wrapped:
    """All of the producer below but how it starts."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        await self._producer.start(timeout_s, creates_topics=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)
