"""Records of a partition arrive in the order of the calls, also where a producer is replaced."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from sdml_kafka import KafkaProducer, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.producer import ProducerSpent
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

P0 = TopicPartition("topic", 0)


class Spent:
    """The twin's producer, which is to be replaced once the test says so."""

    def __init__(self, producer: Any, is_spent: anyio.Event) -> None:
        self._producer, self._is_spent = producer, is_spent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    async def watch(self) -> None:
        await self._is_spent.wait()
        raise ProducerSpent("the test says so")


async def test_what_was_not_sent_goes_before_what_came_while_the_producer_was_replaced() -> None:
    broker, is_spent = MemoryBroker({"topic": 1}), [anyio.Event(), anyio.Event()]
    connect, remaining = broker.connect_producer(), iter(is_spent)

    @asynccontextmanager
    async def connect_and_take_long_to_close() -> AsyncGenerator[Any]:
        async with connect() as producer:
            try:
                yield Spent(producer, next(remaining))
            finally:  # a client waits here for what has gone out, and then reports what has not
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(1.0)

    async with KafkaProducer(transport=connect_and_take_long_to_close) as producer:
        broker.down()
        for value in (b"1", b"2"):
            await producer.send_soon("topic", value)
        is_spent[0].set()
        await anyio.sleep(0.5)
        for value in (b"3", b"4"):
            await producer.send_soon("topic", value)
        await anyio.sleep(1.0)
        broker.up()
        await producer.flush()
        await producer.send("topic", b"5")
    assert [each.value for each in broker.records(P0)] == [b"1", b"2", b"3", b"4", b"5"]
