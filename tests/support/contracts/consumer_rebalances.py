"""Rebalances, as the members of a group see others come and go."""

import anyio
import pytest

from sdml_kafka.errors import CommitRejected
from sdml_kafka.transport.interfaces.reports import Commit
from tests.support.contracts.consumer_world import (
    World,
    numbered,
    partitions,
    poll_until,
    releasing,
    seat,
    share_out,
    skip_unless_eager,
)
from tests.support.waiting import BUSY_S


class RebalancesContract:
    """A part of the contract of consumers."""

    async def test_a_join_takes_all_back_and_release_lets_both_have_their_share(
        self, world: World, topic: str, group: str
    ) -> None:
        skip_unless_eager(world)
        connect = world.connect(group)
        async with seat(connect, topic) as first:
            await share_out(2, first)
            async with seat(connect, topic) as second:
                revocation = await first.revoked()
                assert not revocation.lost
                assert revocation.deadline_s > 0
                revocation.release()
                async with releasing(first, second):
                    await share_out(2, first, second)

                assert len(first.partitions) == len(second.partitions) == 1
                assert first.last_epoch > revocation.epoch

    async def test_the_rebalance_waits_for_the_release(
        self, world: World, topic: str, group: str
    ) -> None:
        skip_unless_eager(world)
        p0, _ = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, topic) as first:
            await share_out(2, first)
            await poll_until(lambda: first.count == 3, first)
            async with seat(connect, topic) as second:
                revocation = await first.revoked()
                await world.produce(p0, b"held back")
                for _ in range(3):
                    for each in (first, second):
                        polled = await each.poll()
                        assert polled.assignment is None
                        assert polled.records == {}

                await first.commit({p0: 3})
                revocation.release()
                async with releasing(first, second):
                    await share_out(2, first, second)
                    await poll_until(lambda: first.count + second.count == 1, first, second)

                owner = first if p0 in first.partitions else second
                assert owner.values(p0) == [b"held back"]
                assert owner.assignment is not None
                assert owner.assignment.committed[p0] == Commit(3)

    async def test_what_was_not_committed_comes_again_after_a_rebalance(
        self, world: World, topic: str, group: str
    ) -> None:
        skip_unless_eager(world)
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(5))
        await world.produce(p1, *numbered(5))
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, topic) as first:
            await share_out(2, first)
            await poll_until(lambda: first.count == 10, first)
            await first.commit({p0: 2, p1: 4})
            async with seat(connect, topic) as second, releasing(first, second):
                await share_out(2, first, second)
                await poll_until(lambda: first.count + second.count == 4, first, second)

                assert first.values(p0) + second.values(p0) == numbered(3, first=2)
                assert first.values(p1) + second.values(p1) == numbered(1, first=4)

    async def test_a_member_that_does_not_release_holds_up_the_group_for_a_time_only(
        self, world: World, topic: str, group: str
    ) -> None:
        skip_unless_eager(world)
        p0, _ = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        connect = world.connect(group, auto_offset_reset="earliest", rebalance_timeout_s=2.0)
        async with seat(connect, topic) as first:
            await share_out(2, first)
            epoch = first.last_epoch
            async with seat(connect, topic) as second:
                await first.revoked()
                await poll_until(lambda: second.partitions, second)

                with pytest.raises(CommitRejected):
                    await first.commit({p0: 1}, epoch)

    async def test_when_a_member_closes_the_other_gets_its_partitions(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with (
            seat(connect, topic) as first,
            seat(connect, topic) as second,
            releasing(first, second),
        ):
            await share_out(2, first, second)
            await second.consumer.close(5.0)
            await poll_until(lambda: len(first.partitions) == 2, first)

    async def test_leaving_the_context_is_closing(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with seat(connect, topic) as first, releasing(first):
            async with seat(connect, topic) as second, releasing(second):
                await share_out(2, first, second)
            await poll_until(lambda: len(first.partitions) == 2, first)

    async def test_closing_does_not_wait_for_the_release_of_a_revocation(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with seat(connect, topic) as first:
            await share_out(2, first)
            async with seat(connect, topic) as second, releasing(second):
                revocation = await first.revoked()
                with anyio.fail_after(5.0 + BUSY_S):
                    await first.consumer.close(5.0)
                await share_out(2, second)
                revocation.release()
