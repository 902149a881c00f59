"""The in-memory twin keeps the contract of producers; on trio in virtual time."""

from itertools import count

import pytest

from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from tests.support.contracts.producer import ProducerContract
from tests.support.contracts.producer_world import ProducerWorld


class MemoryWorld:
    def __init__(self) -> None:
        self._broker = MemoryBroker()
        self._numbers = count(1)

    def connect(self) -> ConnectProducer:
        return self._broker.connect_producer()

    def connect_consumer(self, group: str) -> Connect:
        return self._broker.connect(group)

    def name(self) -> str:
        return f"name-{next(self._numbers)}"

    async def create_topic(self, topic: str, partitions: int, **config: str) -> None:
        compacted = config.get("cleanup.policy") == "compact"
        self._broker.create_topic(topic, partitions, compacted=compacted)

    async def records(self, partition: TopicPartition) -> list[Record]:
        return list(self._broker.records(partition))

    async def go_away(self) -> None:
        self._broker.down()

    async def come_back(self) -> None:
        self._broker.up()


@pytest.mark.anyio
class TestMemoryProducer(ProducerContract):
    @pytest.fixture
    def world(self) -> ProducerWorld:
        return MemoryWorld()
