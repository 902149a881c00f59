"""`start()` and `stop()` of a producer: on asyncio the same as `async with`, refused on trio."""

import pytest

from sdml_kafka import ClientClosed, ClientNotStarted, KafkaProducer, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.tasks import task_count
from tests.support.virtual_time import on_asyncio, on_trio

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


@on_asyncio
async def test_start_and_stop_do_the_same_as_async_with() -> None:
    broker = MemoryBroker({"topic": 1})
    tasks = task_count()
    producer = KafkaProducer(transport=broker.connect_producer())
    await producer.start()
    await producer.start()  # again is harmless
    waiting = await producer.send_soon("topic", b"v")
    await producer.stop()
    await producer.stop()
    assert (await waiting.sent()).offset == 0
    assert [record.value for record in broker.records(TopicPartition("topic", 0))] == [b"v"]
    assert task_count() == tasks
    with pytest.raises(ClientClosed):
        await producer.send("topic", b"late")


@on_trio
async def test_trio_is_told_to_use_async_with() -> None:
    producer = KafkaProducer(transport=MemoryBroker({"topic": 1}).connect_producer())
    with pytest.raises(ClientNotStarted, match="async with"):
        await producer.start()
