"""Failures and delays that a test orders of the in-memory broker."""

import anyio
import pytest

from sdml_kafka.errors import AuthorizationFailed, BrokerUnreachable, CommitFailed, ConsumerFailed
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.log import MemoryCommit
from sdml_kafka.transport.interfaces.reports import Commit
from tests.support.contracts.consumer_world import (
    PATIENCE_S,
    Seat,
    poll_until,
    releasing,
    seat,
    share_out,
)
from tests.support.memory_group import P0, SESSION_S, member_id

pytestmark = pytest.mark.anyio


async def test_a_poll_fails_as_ordered_even_one_that_waits(broker: MemoryBroker) -> None:
    refusal = AuthorizationFailed("no READ on orders")

    async def poll_is_refused(member: Seat) -> None:
        with pytest.raises(AuthorizationFailed, match="no READ"):
            await member.poll(timeout_s=PATIENCE_S)

    async with seat(broker.connect("group"), "orders") as member:
        await share_out(2, member)
        with anyio.fail_after(2.0):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(poll_is_refused, member)
                await anyio.wait_all_tasks_blocked()
                broker.fail_next_poll(refusal)

        assert (await member.poll()).records == {}


async def test_a_consumer_that_failed_stays_dead_and_its_session_runs_out(
    broker: MemoryBroker,
) -> None:
    connect = broker.connect("group", session_timeout_s=SESSION_S)
    async with seat(connect, "orders") as dead, seat(connect, "orders") as alive:
        async with releasing(dead, alive):
            await share_out(2, dead, alive)
        broker.fail_next_poll(ConsumerFailed("its fetcher died"), member=member_id(dead))
        assert (await alive.poll()).records == {}
        for _ in range(2):
            with pytest.raises(ConsumerFailed):
                await dead.poll()

        async with releasing(alive):
            await poll_until(lambda: len(alive.partitions) == 2, alive)


async def test_starts_fail_as_ordered(broker: MemoryBroker) -> None:
    broker.fail_starts(BrokerUnreachable("ordered"), times=2)
    connect = broker.connect("group")
    for _ in range(2):
        async with connect() as consumer:
            with pytest.raises(BrokerUnreachable, match="ordered"):
                await consumer.start(["orders"], 1.0)
    async with seat(connect, "orders") as member:
        await share_out(2, member)


@pytest.mark.parametrize("applied", [False, True])
async def test_commits_fail_as_ordered_and_may_have_gone_through(
    broker: MemoryBroker, applied: bool
) -> None:
    for _ in range(3):
        broker.produce("orders", b"", partition=0)
    broker.fail_commits(times=2, applied=applied)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        for offset in (1, 2):
            with pytest.raises(CommitFailed):
                await member.commit({P0: offset})
            assert broker.committed("group", P0) == (offset if applied else None)
        await member.commit({P0: 3})

        (*_, last) = broker.commits
        assert last == MemoryCommit("group", member_id(member), 1, 1, P0, 3)


async def test_a_commit_that_is_held_hangs_until_released(broker: MemoryBroker) -> None:
    broker.produce("orders", b"", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        broker.hold_commits()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(member.commit, {P0: 1})
            await anyio.wait_all_tasks_blocked()
            assert broker.committed("group", P0) is None
            broker.release_commits()
        assert broker.committed("group", P0) == 1


async def test_a_held_commit_outlives_its_caller_but_not_its_assignment(
    broker: MemoryBroker,
) -> None:
    for _ in range(2):
        broker.produce("orders", b"", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        broker.hold_commits()
        with pytest.raises(CommitFailed, match="may have gone through"):
            await member.consumer.commit(member.last_epoch, {P0: Commit(1)}, 0.1)
        broker.release_commits()
        assert broker.committed("group", P0) == 1

        broker.hold_commits()
        with pytest.raises(CommitFailed):
            await member.consumer.commit(member.last_epoch, {P0: Commit(2)}, 0.1)
        broker.rebalance("group")
        (await member.revoked()).release()
        broker.release_commits()
        assert broker.committed("group", P0) == 1


async def test_slow_calls_take_their_time_within_the_time_outs(broker: MemoryBroker) -> None:
    broker.produce("orders", b"", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        broker.slow_down(poll_s=0.1, commit_s=0.1)
        began = anyio.current_time()
        await poll_until(lambda: member.count == 1, member)
        await member.commit({P0: 1})
        assert anyio.current_time() - began >= 0.19

        broker.slow_down(commit_s=PATIENCE_S)
        with anyio.fail_after(1.0), pytest.raises(CommitFailed, match="may have gone through"):
            await member.consumer.commit(member.last_epoch, {P0: Commit(1)}, 0.1)


async def test_a_spoiled_partition_is_held_alone_until_it_is_mended(broker: MemoryBroker) -> None:
    async with seat(broker.connect("group"), "orders") as member:
        await share_out(2, member)
        broker.spoil(P0, "CRC")
        broker.produce("orders", b"", partition=0)
        broker.produce("orders", b"", partition=1)
        await poll_until(lambda: member.count == 1, member)
        await member.poll()
        assert member.values(P0) == []
        assert member.health is not None
        assert member.health.held == {P0: "CRC"}

        broker.mend(P0)
        await poll_until(lambda: member.count == 2, member)
