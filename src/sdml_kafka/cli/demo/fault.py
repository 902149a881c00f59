"""The crash that is made to happen: a client whose poll fails once, when it is told to."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from sdml_kafka import TopicPartition
from sdml_kafka.kafka.port import Connect, Consumer, Polled


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
    async def __call__(self) -> AsyncIterator[Consumer]:
        async with self._connect() as consumer:
            yield _Faulty(consumer, self)

    def check(self) -> None:
        if self._is_armed:
            self._is_armed = False
            raise DemoFault("the demo made this poll fail")


class _Faulty:
    def __init__(self, consumer: Consumer, transport: FaultyTransport) -> None:
        self._consumer = consumer
        self._transport = transport
        self.settings = consumer.settings
        self.start = consumer.start
        self.revocation = consumer.revocation
        self.commit = consumer.commit
        self.close = consumer.close

    async def poll(
        self, ready: Collection[TopicPartition], max_records: int, timeout_s: float
    ) -> Polled:
        self._transport.check()
        return await self._consumer.poll(ready, max_records, timeout_s)
