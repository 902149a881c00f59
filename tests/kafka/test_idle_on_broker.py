"""A member of a real group that stops polling is out of it, whatever its polls have met."""

from collections.abc import AsyncGenerator
from functools import partial

import anyio
import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka.kafka.aiokafka_adapter import connect
from sdml_kafka.kafka.port import TopicPartition
from sdml_kafka.testing import EmbeddedKafka
from tests.listener.poison import produce_poison

from .test_contract_aiokafka import aiokafka_world
from .world import World, poll_until, seat

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.fixture
async def world(anyio_backend: object, embedded_kafka: EmbeddedKafka) -> AsyncGenerator[World]:
    async with aiokafka_world(embedded_kafka.bootstrap_servers) as world:
        yield world


async def test_errors_and_cancelled_polls_do_not_hide_that_a_member_is_idle(
    world: World, embedded_kafka: EmbeddedKafka
) -> None:
    bootstrap, topic, group = embedded_kafka.bootstrap_servers, world.name(), world.name()
    await world.create_topic(topic, 2)
    await produce_poison(bootstrap, topic, 0)
    lazy = connect(
        partial(
            AIOKafkaConsumer,
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            max_poll_interval_ms=2000,
            heartbeat_interval_ms=300,
            fetch_max_wait_ms=50,
        )
    )
    async with seat(lazy, topic) as member:
        poisoned = TopicPartition(topic, 0)
        await poll_until(lambda: member.health and poisoned in member.health.held, member)
        for _ in range(3):
            with anyio.move_on_after(0.01):
                await member.poll(timeout_s=5.0)
        revocation = await member.revoked()
        assert revocation.lost
        revocation.release()
