"""Connections after a `stop()` that raised, and errors at which nobody else looks."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import ProducerClosed

from sdml_kafka.transport.aiokafka.consumer.internals import finish_stop
from sdml_kafka.transport.aiokafka.producer.internals import dead_task, look_at_failures
from sdml_kafka.transport.aiokafka.producer.internals import finish_stop as finish_producer_stop

PARTITION = TopicPartition("topic", 0)


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


async def queued(producer: Any) -> "asyncio.Future[Any]":
    accumulator = producer._message_accumulator
    batch = accumulator.create_builder()
    batch.append(timestamp=None, key=None, value=b"value")
    sent: asyncio.Future[Any] = await accumulator.add_batch(batch, PARTITION, 1.0)
    return sent


def test_a_batch_that_is_queued_again_fails_without_an_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
        accumulator = producer._message_accumulator
        sent = await queued(producer)
        accumulator.reenqueue(accumulator._pop_batch(PARTITION))
        producer._closed = True  # as a `stop()` that is cut off leaves it
        await finish_producer_stop(producer, set())
        with pytest.raises(ProducerClosed):
            await sent

    asyncio.run(main())
    assert not [each for each in caplog.records if each.name == "asyncio"]


def test_a_sender_that_dies_leaves_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", transactional_id="own")
        look_at_failures(producer)
        manager: Any = producer._txn_manager
        manager.set_pid_and_epoch(1, 1)
        manager.begin_transaction()
        sent = await queued(producer)
        sender: Any = producer._sender
        sender._sender_task = asyncio.create_task(die())
        sender._sender_task.add_done_callback(sender._fail_all)
        with pytest.raises(RuntimeError):
            await sent
        assert "died of RuntimeError('unable" in str(dead_task(producer))
        await finish_producer_stop(producer, set())
        producer._closed = True

    asyncio.run(main())
    gc.collect()
    assert not [each for each in caplog.records if each.name == "asyncio"]
