"""A member of the classic protocol that waits for others leaves without waiting for them."""

import time

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.contracts.consumer_world import CALL_S, seat, share_out
from tests.support.contracts.librdkafka_consumer_world import librdkafka_world
from tests.support.waiting import least_of

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop, pytest.mark.timeout(90)]

MAX_LEAVING_S = 2.0
"""A third of a second is the promise. It was three, since librdkafka waits for the rebalance."""


async def test_who_leaves_while_another_member_holds_up_the_rebalance(
    embedded_kafka: EmbeddedKafka,
) -> None:
    async with librdkafka_world(embedded_kafka.bootstrap_servers, "range") as world:
        topic = world.name()
        await world.create_topic(topic, 2)
        connect = world.connect(world.name(), rebalance_timeout_s=60.0)

        async def leave() -> float:
            async with connect() as late:
                await late.start([topic], CALL_S)
                if not member.revocations:
                    await member.revoked()  # so the group has the request to join
                began = time.monotonic()
            return time.monotonic() - began

        async with seat(connect, topic) as member:
            await share_out(2, member)
            assert await least_of(leave, MAX_LEAVING_S) < MAX_LEAVING_S
            member.release(member.revocations[0])
