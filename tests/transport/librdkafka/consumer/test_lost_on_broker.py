"""A member whose program stands still for too long loses its partitions, and is told so."""

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

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(90)]

POLL_INTERVAL_S = 2.0


@pytest.mark.parametrize(
    "protocol",
    [
        "consumer",
        pytest.param("cooperative-sticky", marks=pytest.mark.soak),
        pytest.param("range", marks=pytest.mark.soak),
    ],
)
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
            async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as other:
                await share_out(2, other)  # the first one has not been polled for so long
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
