"""A member whose program stands still for too long loses partitions, and hears of it."""

import anyio
import pytest

from sdml_kafka.errors import CommitRejected
from sdml_kafka.testing import EmbeddedKafka
from tests.support.contracts.consumer_world import (
    numbered,
    partitions,
    poll_until,
    releasing,
    seat,
    share_out,
)
from tests.support.contracts.librdkafka_consumer_world import GroupProtocol, librdkafka_world

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop, pytest.mark.timeout(90)]

POLL_INTERVAL_S = 2.0


each_protocol = pytest.mark.parametrize(
    "protocol",
    [
        "consumer",
        pytest.param("cooperative-sticky", marks=pytest.mark.soak),
        pytest.param("range", marks=pytest.mark.soak),
    ],
)


@each_protocol
async def test_its_partitions_are_lost_and_it_comes_back(
    embedded_kafka: EmbeddedKafka, protocol: GroupProtocol
) -> None:
    async with librdkafka_world(embedded_kafka.bootstrap_servers, protocol) as world:
        topic, group = world.name(), world.name()
        await world.create_topic(topic, 2)
        p0, p1 = partitions(topic, 2)
        for each in (p0, p1):
            await world.produce(each, *numbered(5))
        idle = world.connect(group, rebalance_timeout_s=POLL_INTERVAL_S)
        async with seat(idle, topic) as member:
            await share_out(2, member)
            epoch = member.last_epoch
            # The thread polls for that long without the program, and librdkafka waits for as long.
            await anyio.sleep(2 * POLL_INTERVAL_S + 0.5)
            async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as other:
                await share_out(2, other)
                await poll_until(lambda: other.count == 10, other)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(poll_until, lambda: member.revocations, member)
                    revocation = await member.revoked()
                assert revocation.lost
                assert revocation.partitions == {p0, p1}
                with pytest.raises(CommitRejected):
                    await member.commit({p0: 1}, epoch)
                member.release(revocation)
                async with releasing(other):
                    await share_out(2, member, other)
                with pytest.raises(CommitRejected):
                    await member.commit({each: 1 for each in member.partitions}, epoch)
                await member.commit({each: 3 for each in member.partitions})


@each_protocol
async def test_a_rebalance_that_went_on_without_it_is_known_later(
    embedded_kafka: EmbeddedKafka, protocol: GroupProtocol
) -> None:
    """Else it would go on with what has another owner by now."""
    async with librdkafka_world(embedded_kafka.bootstrap_servers, protocol) as world:
        topic, group = world.name(), world.name()
        await world.create_topic(topic, 2)
        connect = world.connect(group, rebalance_timeout_s=3.0)
        async with seat(connect, topic) as member:
            await share_out(2, member)
            epoch = member.last_epoch
            async with seat(connect, topic) as other:
                await poll_until(lambda: other.partitions, other, member)
                revocation = await member.consumer.revocation()
                assert revocation.lost
                assert revocation.partitions >= other.partitions
                with pytest.raises(CommitRejected):
                    await member.commit(dict.fromkeys(other.partitions, 1), epoch)
                revocation.release()
                again = await member.consumer.poll((), 1, 1.0)
                assert again.assignment is None or again.assignment.epoch > epoch
