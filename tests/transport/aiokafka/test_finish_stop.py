"""What is closed after a `stop()` that raised."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import ProducerClosed

from sdml_kafka.transport.aiokafka.consumer.internals import finish_stop
from sdml_kafka.transport.aiokafka.producer.internals import finish_stop as finish_producer_stop


class Connection:
    is_closed = False

    def close(self, reason: object) -> "asyncio.Future[None]":
        self.is_closed = True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


async def die() -> None:
    raise RuntimeError("unable to perform operation; the handler is closed")  # as uvloop does


def test_connections_are_closed_though_the_metadata_task_has_died() -> None:
    async def main() -> None:
        client: Any = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
        connection = Connection()
        client._conns = {0: connection}
        client._sync_task = asyncio.get_running_loop().create_task(die())
        await asyncio.wait({client._sync_task})
        await finish_stop(SimpleNamespace(_fetcher=None, _client=client))
        assert connection.is_closed

    asyncio.run(main())


def test_a_batch_that_is_queued_again_fails_without_an_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
        accumulator = producer._message_accumulator
        partition = TopicPartition("topic", 0)
        batch = accumulator.create_builder()
        batch.append(timestamp=None, key=None, value=b"value")
        sent = await accumulator.add_batch(batch, partition, 1.0)
        accumulator.reenqueue(accumulator._pop_batch(partition))
        producer._closed = True  # as a `stop()` that is cut off leaves it
        await finish_producer_stop(producer, set())
        with pytest.raises(ProducerClosed):
            await sent

    asyncio.run(main())
    assert not [each for each in caplog.records if each.name == "asyncio"]
