"""A member of a real group that stops polling leaves it, whatever its polls have met."""

from functools import partial

import anyio
import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer.adapter import connect
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.consumer_world import PATIENCE_S, World, poll_until, seat, share_out
from tests.support.undecodable_batch import produce_poison

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.fixture
async def topic(world: World, embedded_kafka: EmbeddedKafka) -> str:
    """Create a topic whose partition 0 has a record that does not decode."""
    topic = world.name()
    await world.create_topic(topic, 2)
    await produce_poison(embedded_kafka.bootstrap_servers, topic, 0)
    return topic


@pytest.fixture
def impatient(world: World, embedded_kafka: EmbeddedKafka) -> Connect:
    return connect(
        partial(
            AIOKafkaConsumer,
            bootstrap_servers=embedded_kafka.bootstrap_servers,
            group_id=world.name(),
            auto_offset_reset="earliest",
            max_poll_interval_ms=2000,
            heartbeat_interval_ms=300,
            fetch_max_wait_ms=50,
        )
    )


async def test_a_member_whose_last_poll_met_an_error_is_out(impatient: Connect, topic: str) -> None:
    async with seat(impatient, topic) as member:
        await share_out(2, member)
        with anyio.fail_after(PATIENCE_S):
            polled = await member.poll(timeout_s=2 * PATIENCE_S)
        assert not polled.records, "only an error ends a poll so early and without records"
        revocation = await member.revoked()
        assert revocation.lost
        revocation.release()


async def test_a_member_whose_last_polls_were_cancelled_is_out(
    impatient: Connect, topic: str
) -> None:
    async with seat(impatient, topic) as member:
        poisoned = TopicPartition(topic, 0)
        await poll_until(lambda: member.health and poisoned in member.health.held, member)
        for _ in range(3):
            with anyio.move_on_after(0.01):
                await member.poll(timeout_s=5.0)
        revocation = await member.revoked()
        assert revocation.lost
        revocation.release()
