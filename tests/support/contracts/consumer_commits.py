"""Commits: what they leave in the group, and which are rejected."""

import anyio
import pytest

from sdml_kafka.errors import CommitRejected
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
    skip_unless_eager,
)


class CommitsContract:
    """A part of the contract of consumers."""

    async def test_a_commit_of_the_current_epoch_is_there(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        await world.produce(p1, *numbered(3))
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 6, member)

            await member.commit({p0: 1})
            assert await world.committed(group, p0) == 1
            assert await world.committed(group, p1) is None

            await member.commit({p0: 3, p1: 2})
            assert await world.committed(group, p0) == 3
            assert await world.committed(group, p1) == 2

    async def test_what_is_committed_with_an_offset_comes_with_the_assignment(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, topic) as member:
            await share_out(2, member)
            await member.commit({p0: 1}, metadata="first")
            await member.commit({p0: 1, p1: 0}, metadata="bgABASw=")
        async with seat(connect, topic) as successor:
            await share_out(2, successor)
            assert successor.assignment is not None
            assert successor.assignment.committed == {
                p0: Commit(1, "bgABASw="),
                p1: Commit(0, "bgABASw="),
            }
            await successor.commit({p0: 2})
        await world.commit(group, p1, 0, "from outside")
        async with seat(connect, topic) as successor:
            await share_out(2, successor)
            assert successor.assignment is not None
            assert successor.assignment.committed == {
                p0: Commit(2),
                p1: Commit(0, "from outside"),
            }

    async def test_as_much_is_committed_with_an_offset_as_a_broker_takes(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            await member.commit({p0: 0, p1: 0}, metadata="x" * 4096)
        async with seat(world.connect(group), topic) as successor:
            await share_out(2, successor)
            assert successor.assignment is not None
            assert set(successor.assignment.committed.values()) == {Commit(0, "x" * 4096)}

    async def test_a_commit_does_not_wait_for_the_poll(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, _ = partitions(topic, 2)
        await world.produce(p0, b"one")
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 1, member)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(member.poll, (), 500, 4 * PATIENCE_S)
                await member.commit({p0: 1})
                tasks.cancel_scope.cancel()
            assert await world.committed(group, p0) == 1

    async def test_a_commit_of_a_past_epoch_is_rejected(
        self, world: World, topic: str, group: str
    ) -> None:
        skip_unless_eager(world)
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        await world.produce(p1, *numbered(3))
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, topic) as first:
            await share_out(2, first)
            past = first.last_epoch
            async with seat(connect, topic) as second, releasing(first, second):
                await share_out(2, first, second)
                (kept,) = first.partitions

                with pytest.raises(CommitRejected):
                    await first.commit({kept: 1}, epoch=past)

                assert await world.committed(group, kept) is None
                await first.commit({kept: 1})
                assert await world.committed(group, kept) == 1

    async def test_a_commit_after_the_release_is_rejected(
        self, world: World, topic: str, group: str
    ) -> None:
        skip_unless_eager(world)
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        await world.produce(p1, *numbered(3))
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, topic) as first, seat(connect, topic) as second:
            async with releasing(first, second):
                await share_out(2, first, second)
            (owned,) = first.partitions
            async with seat(connect, topic):
                (await first.revoked()).release()
                # The second member has not released, so the rebalance cannot be over.
                with pytest.raises(CommitRejected):
                    await first.commit({owned: 1})
                assert await world.committed(group, owned) is None
