"""Cancelled calls and closed consumers, and that they leave nothing behind."""

import anyio
import pytest

from sdml_kafka.errors import CommitRejected, ConsumerFailed
from sdml_kafka.transport.interfaces.reports import Commit
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
from tests.support.waiting import BUSY_S


class EndingsContract:
    """A part of the contract of consumers."""

    async def test_a_cancelled_poll_leaves_the_member_able_to_leave(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with (
            seat(connect, topic) as first,
            seat(connect, topic) as second,
            releasing(first, second),
        ):
            await share_out(2, first, second)
            with anyio.move_on_after(0.1) as scope:
                while True:  # an earlier nudge may end a poll early
                    await second.poll(timeout_s=4 * PATIENCE_S)
            assert scope.cancelled_caught
            with anyio.fail_after(5.0 + BUSY_S):
                await second.consumer.close(5.0)
            await poll_until(lambda: len(first.partitions) == 2, first)

    async def test_a_cancelled_wait_loses_no_revocation(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with seat(connect, topic) as first:
            await share_out(2, first)
            for _ in range(3):
                with anyio.move_on_after(0.05) as scope:
                    await first.consumer.revocation()
                assert scope.cancelled_caught
            async with seat(connect, topic) as second:
                (await first.revoked()).release()
                async with releasing(first, second):
                    await share_out(2, first, second)

    async def test_an_impatient_wait_gets_the_revocation_all_the_same(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with seat(connect, topic) as first:
            await share_out(2, first)
            async with seat(connect, topic) as second:
                revocation = None
                with anyio.fail_after(8.0):  # the group would wait longer
                    while revocation is None:
                        with anyio.move_on_after(0.001):
                            revocation = await first.consumer.revocation()
                again = await first.revoked()
                assert again.epoch == revocation.epoch
                revocation.release()
                async with releasing(first, second):
                    await share_out(2, first, second)

    async def test_after_a_cancelled_commit_the_next_one_goes_through(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, _ = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 3, member)
            with anyio.move_on_after(0):
                await member.consumer.commit(member.last_epoch, {p0: Commit(1)}, 5.0)

            await member.commit({p0: 2})

            assert await world.committed(group, p0) == 2

    async def test_close_may_be_called_again_and_ends_everything_else(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, _ = partitions(topic, 2)
        await world.produce(p0, b"one")
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            await member.consumer.close(5.0)
            await member.consumer.close(5.0)

            with pytest.raises(ConsumerFailed):
                await member.poll()
            with pytest.raises(CommitRejected):
                await member.commit({p0: 1})

    async def test_a_consumer_that_was_never_started_closes(self, world: World, group: str) -> None:
        async with world.connect(group)() as consumer:
            with anyio.fail_after(5.0 + BUSY_S):
                await consumer.close(5.0)

    async def test_closing_commits_nothing(self, world: World, topic: str, group: str) -> None:
        p0, _ = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 3, member)

        assert await world.committed(group, p0) is None
