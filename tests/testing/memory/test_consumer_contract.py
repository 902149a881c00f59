"""The in-memory twin keeps the contract; on trio in virtual time."""

from itertools import count

import pytest

from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Tail
from tests.support.contracts.consumer import Contract
from tests.support.contracts.consumer_incremental import IncrementalContract
from tests.support.contracts.consumer_world import (
    Reset,
    World,
    partitions,
    poll_until,
    releasing,
    seat,
    share_out,
)
from tests.support.contracts.tail import TailContract


class MemoryWorld:
    def __init__(self, *, incremental: bool = False) -> None:
        self.incremental = incremental
        self._broker = MemoryBroker(rebalances="incremental" if incremental else "eager")
        self._numbers = count(1)

    def connect(
        self,
        group: str,
        *,
        auto_offset_reset: Reset = "latest",
        rebalance_timeout_s: float = 10.0,
        read_committed: bool = False,
    ) -> Connect:
        return self._broker.connect(
            group, auto_offset_reset=auto_offset_reset, rebalance_timeout_s=rebalance_timeout_s
        )

    def name(self) -> str:
        return f"name-{next(self._numbers)}"

    async def create_topic(self, topic: str, partitions: int) -> None:
        self._broker.create_topic(topic, partitions)

    async def add_partitions(self, topic: str, count: int) -> None:
        self._broker.add_partitions(topic, count)

    async def trim(self, partition: TopicPartition, before: int) -> None:
        self._broker.trim(partition, before)

    async def commit(
        self, group: str, partition: TopicPartition, offset: int, metadata: str = ""
    ) -> None:
        self._broker.commit(group, partition, offset, metadata)

    async def transact(self, partition: TopicPartition, *values: bytes) -> None:
        await self.produce(partition, *values)
        self._broker.skip_offsets(partition, 1 if values else 2)

    async def replace(self, topic: str, partitions: int) -> None:
        self._broker.delete_topic(topic)
        self._broker.create_topic(topic, partitions)

    async def produce(self, partition: TopicPartition, *values: bytes) -> None:
        for value in values:
            self._broker.produce(partition.topic, value, partition=partition.partition)

    async def committed(self, group: str, partition: TopicPartition) -> int | None:
        return self._broker.committed(group, partition)


class InMemory:
    @pytest.fixture
    def world(self) -> World:
        return MemoryWorld()

    @pytest.fixture
    def strict_world(self, world: World) -> World:
        return world


class Incrementally(InMemory):
    @pytest.fixture
    def world(self) -> World:
        return MemoryWorld(incremental=True)


@pytest.mark.anyio
class TestMemory(InMemory, Contract):
    pass


@pytest.mark.anyio
class TestIncrementalMemory(Incrementally, IncrementalContract, Contract):
    pass


@pytest.mark.anyio
class TestIncrementalMemoryTail(Incrementally, TailContract):
    pass


@pytest.mark.anyio
class TestMemoryTail(InMemory, TailContract):
    async def test_a_member_that_was_thrown_out_goes_on_where_it_was(self) -> None:
        broker = MemoryBroker({"topic": 1})
        (p0,) = partitions("topic", 1)
        async with seat(broker.connect("group"), "topic", tail=Tail()) as member:
            await share_out(1, member)
            broker.produce("topic", b"before")
            await poll_until(lambda: member.count == 1, member)
            broker.expel(member.consumer)
            broker.produce("topic", b"in between")
            async with releasing(member):
                await poll_until(lambda: len(member.seen[p0]) == 2, member)

            assert member.seen == {p0: [b"before", b"in between"]}
