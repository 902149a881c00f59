"""A real Kafka as the world of the contract of consumers, reached through librdkafka."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.librdkafka.consumer.adapter import connect
from sdml_kafka.transport.librdkafka.options import consumer_settings
from tests.support.contracts.aiokafka_consumer_world import aiokafka_world
from tests.support.contracts.consumer_world import Reset, World

GroupProtocol = Literal["consumer", "cooperative-sticky", "range"]


class LibrdkafkaWorld:
    """Members over librdkafka; all else is done by aiokafka."""

    def __init__(self, outside: World, servers: str, protocol: GroupProtocol) -> None:
        self._outside = outside
        self._servers = servers
        self._protocol = protocol
        self.incremental: bool = protocol != "range"
        for name in (
            *("name", "create_topic", "add_partitions", "trim", "commit", "transact", "replace"),
            *("produce", "committed"),
        ):
            setattr(self, name, getattr(outside, name))

    def connect(
        self,
        group: str,
        *,
        auto_offset_reset: Reset = "latest",
        rebalance_timeout_s: float = 10.0,
        read_committed: bool = False,
    ) -> Connect:
        if self._protocol == "consumer":
            options: dict[str, Any] = {"group.protocol": "consumer"}
        else:
            options = {
                "partition.assignment.strategy": self._protocol,
                "session.timeout.ms": min(6000, int(rebalance_timeout_s * 1000)),
                "heartbeat.interval.ms": 200,
            }
        options |= {
            "max.poll.interval.ms": int(rebalance_timeout_s * 1000),
            "fetch.wait.max.ms": 50,
            "isolation.level": "read_committed" if read_committed else "read_uncommitted",
            "topic.metadata.refresh.interval.ms": 500,
        }
        settings = consumer_settings(self._servers, group, auto_offset_reset, options)
        return connect(settings)


@asynccontextmanager
async def librdkafka_world(servers: str, protocol: GroupProtocol) -> AsyncGenerator[Any]:
    """Yield a world whose members live in threads."""
    async with aiokafka_world(servers) as outside:
        yield LibrdkafkaWorld(outside, servers, protocol)
