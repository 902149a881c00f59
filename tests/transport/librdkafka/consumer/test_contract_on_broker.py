"""The librdkafka adapter keeps the contract, on a real Kafka, with each kind of rebalance."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.reports import Commit
from tests.support.contracts.consumer import Contract
from tests.support.contracts.consumer_incremental import IncrementalContract
from tests.support.contracts.consumer_world import World, partitions, seat, share_out
from tests.support.contracts.librdkafka_consumer_world import GroupProtocol, librdkafka_world
from tests.support.contracts.tail import TailContract


class OnLibrdkafka:
    @pytest.fixture(
        params=[
            "consumer",
            pytest.param("cooperative-sticky", marks=pytest.mark.soak),
            pytest.param("range", marks=pytest.mark.soak),
        ]
    )
    def protocol(self, request: pytest.FixtureRequest) -> GroupProtocol:
        protocol: GroupProtocol = request.param
        return protocol

    @pytest.fixture
    async def world(
        self, anyio_backend: object, embedded_kafka: EmbeddedKafka, protocol: GroupProtocol
    ) -> AsyncGenerator[World]:
        async with librdkafka_world(embedded_kafka.bootstrap_servers, protocol) as world:
            yield world

    @pytest.fixture
    async def strict_world(
        self, anyio_backend: object, strict_kafka: EmbeddedKafka, protocol: GroupProtocol
    ) -> AsyncGenerator[World]:
        async with librdkafka_world(strict_kafka.bootstrap_servers, protocol) as world:
            yield world

    @pytest.fixture
    async def topic(self, world: World) -> str:
        """Create a topic of two partitions."""
        topic = world.name()
        await world.create_topic(topic, 2)
        return topic

    # The contract takes the name from `world`, and one test has no world.
    @pytest.fixture
    def group(self) -> str:
        return f"contract-{uuid4().hex}"


@pytest.mark.anyio
@pytest.mark.broker
@pytest.mark.one_loop
class TestLibrdkafka(OnLibrdkafka, Contract):
    async def test_as_much_is_committed_with_an_offset_as_a_broker_takes(
        self, world: World, topic: str, group: str
    ) -> None:
        """It is one character less here, since librdkafka ends a text with a zero byte."""
        p0, p1 = partitions(topic, 2)
        for length, committed in ((4095, "x" * 4095), (4096, "")):
            async with seat(world.connect(group), topic) as member:
                await share_out(2, member)
                await member.commit({p0: 0, p1: 0}, metadata="x" * length)
            async with seat(world.connect(group), topic) as successor:
                await share_out(2, successor)
                assert successor.assignment is not None
                assert set(successor.assignment.committed.values()) == {Commit(0, committed)}


@pytest.mark.anyio
@pytest.mark.broker
@pytest.mark.one_loop
class TestLibrdkafkaIncremental(OnLibrdkafka, IncrementalContract):
    @pytest.fixture(params=["consumer", "cooperative-sticky"])
    def protocol(self, request: pytest.FixtureRequest) -> GroupProtocol:
        protocol: GroupProtocol = request.param
        return protocol


@pytest.mark.anyio
@pytest.mark.broker
@pytest.mark.one_loop
class TestLibrdkafkaTail(OnLibrdkafka, TailContract):
    @pytest.fixture
    async def topic(self, world: World) -> str:
        """Create a topic of four partitions."""
        topic = world.name()
        await world.create_topic(topic, 4)
        return topic
