"""The in-memory twin keeps the contract; on trio in virtual time."""

from itertools import count

import pytest

from sdml_kafka.kafka.port import Connect, TopicPartition
from sdml_kafka.testing.memory import MemoryBroker

from .contract import Contract
from .world import Reset, World, backend_in_virtual_time


class MemoryWorld:
    def __init__(self) -> None:
        self._broker = MemoryBroker()
        self._numbers = count(1)

    def connect(
        self, group: str, *, auto_offset_reset: Reset = "latest", rebalance_timeout_s: float = 10.0
    ) -> Connect:
        return self._broker.connect(
            group, auto_offset_reset=auto_offset_reset, rebalance_timeout_s=rebalance_timeout_s
        )

    def name(self) -> str:
        return f"name-{next(self._numbers)}"

    async def create_topic(self, topic: str, partitions: int) -> None:
        self._broker.create_topic(topic, partitions)

    async def produce(self, partition: TopicPartition, *values: bytes) -> None:
        for value in values:
            self._broker.produce(partition.topic, value, partition=partition.partition)

    async def committed(self, group: str, partition: TopicPartition) -> int | None:
        return self._broker.committed(group, partition)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    return backend_in_virtual_time(request.param)


@pytest.mark.anyio
class TestMemory(Contract):
    @pytest.fixture
    def world(self) -> World:
        return MemoryWorld()

    @pytest.fixture
    def strict_world(self, world: World) -> World:
        return world
