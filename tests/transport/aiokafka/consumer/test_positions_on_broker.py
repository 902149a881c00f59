"""Where reading starts on a real Kafka with `auto_offset_reset="none"`."""

from functools import partial
from uuid import uuid4

import anyio
import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer.adapter import connect
from sdml_kafka.transport.interfaces.consumer import Connect
from tests.support.contracts.consumer_world import (
    PATIENCE_S,
    World,
    numbered,
    partitions,
    poll_until,
    releasing,
    seat,
    share_out,
)

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.fixture
def group() -> str:
    return f"positions-{uuid4().hex}"


@pytest.fixture
def without_reset(embedded_kafka: EmbeddedKafka, group: str) -> Connect:
    return connect(
        partial(
            AIOKafkaConsumer,
            bootstrap_servers=embedded_kafka.bootstrap_servers,
            group_id=group,
            auto_offset_reset="none",
            fetch_max_wait_ms=50,
            metadata_max_age_ms=500,
        )
    )


async def test_without_a_commit_and_without_a_reset_the_error_says_what_to_do(
    world: World, without_reset: Connect
) -> None:
    topic = world.name()
    await world.create_topic(topic, 2)
    async with seat(without_reset, topic) as member:
        with anyio.fail_after(PATIENCE_S), pytest.raises(ConfigurationError, match="'none'"):
            while True:
                await member.poll()


async def test_without_a_reset_commits_count_and_later_partitions_begin_at_their_beginning(
    world: World, without_reset: Connect, group: str
) -> None:
    topic = world.name()
    await world.create_topic(topic, 1)
    p0, p1 = partitions(topic, 2)
    await world.produce(p0, *numbered(3))
    async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
        await share_out(1, member)
        await poll_until(lambda: member.count == 3, member)
        await member.commit({p0: 1})
    async with seat(without_reset, topic) as member, releasing(member):
        await share_out(1, member)
        await world.add_partitions(topic, 1)
        await world.produce(p1, *numbered(2))
        await poll_until(lambda: member.values(p1) == numbered(2), member)
        await poll_until(lambda: member.values(p0) == numbered(2, first=1), member)
