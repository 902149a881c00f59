"""The fixtures of the producer's tests: a real Kafka that creates no topics by itself."""

from collections.abc import AsyncGenerator

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.contracts.librdkafka_producer_world import (
    LibrdkafkaWorld,
    librdkafka_world_of,
)
from tests.support.contracts.producer_world import Outcomes


@pytest.fixture
async def world(
    anyio_backend: object, strict_kafka: EmbeddedKafka
) -> AsyncGenerator[LibrdkafkaWorld]:
    async with librdkafka_world_of(strict_kafka) as world:
        yield world


@pytest.fixture
async def topic(world: LibrdkafkaWorld) -> str:
    topic = world.name()
    await world.create_topic(topic, 2)
    return topic


@pytest.fixture
def outcomes(anyio_backend: object) -> Outcomes:
    return Outcomes()
