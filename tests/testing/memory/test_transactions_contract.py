"""The in-memory twin keeps the contract of transactions; on trio in virtual time."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from sdml_kafka.errors import TransactionInDoubt
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions, GroupOffsets
from tests.support.contracts.transactions import TransactionsContract
from tests.support.contracts.transactions_world import TransactionsWorld, started


class MemoryWorld:
    def __init__(self, rebalances: Any) -> None:
        self._broker = MemoryBroker(rebalances=rebalances)
        self._numbers = count(1)

    def connect(self, transactional_id: str | None = None) -> ConnectTransactions:
        return self._broker.connect_transactions(transactional_id=transactional_id)

    def connect_consumer(self, group: str) -> Connect:
        return self._broker.connect(group, auto_offset_reset="earliest")

    def name(self) -> str:
        return f"name-{next(self._numbers)}"

    async def create_topic(self, topic: str, partitions: int) -> None:
        self._broker.create_topic(topic, partitions)

    async def values(self, partition: TopicPartition) -> list[bytes | None]:
        return [record.value for record in self._broker.records(partition)]

    async def committed(self, group: str, partition: TopicPartition) -> int | None:
        return self._broker.committed(group, partition)

    async def prepare(self, offsets: GroupOffsets) -> Callable[[], Awaitable[object]]:
        self._broker.hold_transactions()
        async with started(self.connect()) as producer:
            with pytest.raises(TransactionInDoubt):
                await producer.commit(offsets, 0.1)

        async def commit() -> None:
            self._broker.release_transactions()

        return commit

    async def go_away(self) -> None:
        self._broker.down()

    async def come_back(self) -> None:
        self._broker.up()


@pytest.mark.anyio
@pytest.mark.parametrize("rebalances", ["eager", "incremental"])
class TestMemoryTransactions(TransactionsContract):
    @pytest.fixture
    def world(self, rebalances: str) -> TransactionsWorld:
        return MemoryWorld(rebalances)
