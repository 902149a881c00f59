"""The crash that is made to happen: a client whose poll fails once, when it is told to."""

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import cast

from sdml_kafka import TopicPartition
from sdml_kafka.transport.interfaces import Connect, Consumer, Polled


class DemoFault(Exception):
    """What the demo makes the consumer loop die of."""


class FaultyTransport:
    """A real port to Kafka, whose next poll fails after `fail_next_poll`."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._is_armed = False

    def fail_next_poll(self) -> None:
        self._is_armed = True

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[Consumer]:
        async with self._connect() as consumer:
            yield cast(Consumer, _Faulty(consumer, self))

    def check(self) -> None:
        if self._is_armed:
            self._is_armed = False
            raise DemoFault("the demo made this poll fail")


class _Faulty:
    """Everything but `poll` is the real consumer's."""

    def __init__(self, consumer: Consumer, transport: FaultyTransport) -> None:
        self._consumer = consumer
        self._transport = transport

    async def poll(
        self, ready: Collection[TopicPartition], max_records: int, timeout_s: float
    ) -> Polled:
        self._transport.check()
        return await self._consumer.poll(ready, max_records, timeout_s)

    def __getattr__(self, name: str) -> object:
        return getattr(self._consumer, name)
