"""The world of the consumer's tests: the embedded Kafka."""

from collections.abc import AsyncGenerator

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.contracts.aiokafka_consumer_world import aiokafka_world
from tests.support.contracts.consumer_world import World


@pytest.fixture
async def world(anyio_backend: object, embedded_kafka: EmbeddedKafka) -> AsyncGenerator[World]:
    async with aiokafka_world(embedded_kafka.bootstrap_servers) as world:
        yield world
