"""Transactions go on while brokers of a cluster die: each record is read once, in its order."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from sdml_kafka.errors import (
    BrokerUnreachable,
    ProducerFailed,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.transactions import TransactionalProducer
from tests.support.contracts.librdkafka_transactions_world import LibrdkafkaTransactionsWorld
from tests.support.contracts.transactions import read

CALL_S = 20.0
PARTITIONS, IN_EACH, KILLS = 3, 20, 6
PROPERTIES = {
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "offsets.topic.replication.factor": "3",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "auto.create.topics.enable": "false",
}


class Numbers:
    """Sends ascending numbers to each partition, some in each transaction."""

    def __init__(self, world: LibrdkafkaTransactionsWorld, topic: str) -> None:
        self._world = world
        self._topic = topic
        self._id = world.name()
        self.count = 0
        """The number of numbers that were committed in each partition."""
        self.troubles: list[str] = []

    async def send_until(self, end: anyio.Event) -> None:
        while not end.is_set():
            try:
                async with self._opened() as producer:
                    while not end.is_set():
                        await self._transact(producer)
            except (ProducerFailed, BrokerUnreachable, TransactionInDoubt) as error:
                self.troubles.append(type(error).__name__)
                await self._find_out()

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[TransactionalProducer]:
        async with self._world.connect(self._id)() as producer:
            await producer.start(CALL_S)
            yield producer

    async def _transact(self, producer: TransactionalProducer) -> None:
        for number in range(self.count, self.count + IN_EACH):
            for partition in range(PARTITIONS):
                value = b"%d" % number
                producer.send(Message(self._topic, value, partition=partition), lambda _: None)
        try:
            while True:
                try:
                    await producer.commit(None, CALL_S)
                except TransactionInDoubt as doubt:
                    self.troubles.append(type(doubt).__name__)
                else:
                    break
        except TransactionFailed as failure:
            self.troubles.append(type(failure).__name__)
            await producer.abort(CALL_S)
        else:
            self.count += IN_EACH

    async def _find_out(self) -> None:
        """Look whether the transaction happened whose producer has ended before it knew."""
        while True:
            try:
                async with self._opened():  # ends what the one before has left
                    pass
            except (ProducerFailed, BrokerUnreachable):
                continue
            break
        values = await self._world.values(TopicPartition(self._topic, 0))
        assert len(values) in (self.count, self.count + IN_EACH)
        self.count = len(values)


@pytest.mark.anyio
@pytest.mark.broker
@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_each_record_is_read_once_while_brokers_die(anyio_backend: object) -> None:
    async with EmbeddedKafka(nodes=3, properties=PROPERTIES) as kafka:
        world = LibrdkafkaTransactionsWorld(kafka, "consumer")
        topic, end = world.name(), anyio.Event()
        await world.create_topic(topic, PARTITIONS, replicas=3)
        numbers = Numbers(world, topic)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(numbers.send_until, end)
            for kill in range(KILLS):
                await anyio.sleep(3)
                await anyio.to_thread.run_sync(kafka.kill, kill % 3)
                await anyio.sleep(2)
                await kafka.restart_async(kill % 3)
            end.set()
        expected = [b"%d" % number for number in range(numbers.count)]
        assert numbers.count >= 10 * IN_EACH
        for partition in range(PARTITIONS):
            await read(world, TopicPartition(topic, partition), expected)
