"""The aiokafka adapter keeps the contract, on a real Kafka."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.contracts.aiokafka_consumer_world import aiokafka_world
from tests.support.contracts.consumer import Contract
from tests.support.contracts.consumer_commits import CommitsContract
from tests.support.contracts.consumer_endings import EndingsContract
from tests.support.contracts.consumer_polls import PollsContract
from tests.support.contracts.consumer_positions import PositionsContract
from tests.support.contracts.consumer_rebalances import RebalancesContract
from tests.support.contracts.consumer_world import World
from tests.support.contracts.tail import TailContract


class OnAiokafka:
    @pytest.fixture
    async def strict_world(
        self, anyio_backend: object, strict_kafka: EmbeddedKafka
    ) -> AsyncGenerator[World]:
        async with aiokafka_world(strict_kafka.bootstrap_servers) as world:
            yield world

    # The contract takes the name from `world`, and one test has no world.
    @pytest.fixture
    def group(self) -> str:
        return f"contract-{uuid4().hex}"


@pytest.mark.anyio
@pytest.mark.broker
class TestAiokafka(OnAiokafka, PollsContract, RebalancesContract, EndingsContract):
    """The contract's part that depends on how a consumer's calls get to its loop."""

    topic = Contract.topic


@pytest.mark.anyio
@pytest.mark.broker
@pytest.mark.one_loop
class TestAiokafkaPlaces(OnAiokafka, PositionsContract, CommitsContract):
    """The contract's part that the driver decides by itself, wherever its loop is."""

    topic = Contract.topic


@pytest.mark.anyio
@pytest.mark.broker
class TestAiokafkaTail(OnAiokafka, TailContract):
    @pytest.fixture
    async def world(
        self, anyio_backend: object, embedded_kafka: EmbeddedKafka
    ) -> AsyncGenerator[World]:
        async with aiokafka_world(embedded_kafka.bootstrap_servers, has_threads=False) as world:
            yield world
