"""Rebalances, expulsions and sessions of the in-memory broker's groups."""

import pytest

from sdml_kafka.errors import CommitRejected
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.contracts.consumer_world import (
    PATIENCE_S,
    poll_until,
    releasing,
    seat,
    share_out,
)
from tests.support.memory_group import P0, P1, member_id

pytestmark = pytest.mark.anyio


async def test_a_scripted_rebalance_is_one_like_any_other(broker: MemoryBroker) -> None:
    async with seat(broker.connect("group"), "orders") as member:
        await share_out(2, member)

        broker.rebalance("group")

        revocation = await member.revoked()
        assert not revocation.lost
        revocation.release()
        await share_out(2, member)
        assert member.last_epoch == broker.generation("group") == 2
        assert broker.members("group") == {member_id(member): {P0, P1}}


async def test_an_expelled_member_gets_a_loss_and_joins_again(
    broker: MemoryBroker,
) -> None:
    broker.produce("orders", b"one", partition=0)
    connect = broker.connect("group", auto_offset_reset="earliest")
    async with seat(connect, "orders") as member:
        await share_out(2, member)

        broker.expel(member.consumer)

        with pytest.raises(CommitRejected):
            await member.commit({P0: 1})
        revocation = await member.revoked()
        assert revocation.lost
        with pytest.raises(CommitRejected):
            await member.commit({P0: 1})
        revocation.release()
        await share_out(2, member)
        await member.commit({P0: 1})
        assert broker.committed("group", P0) == 1


async def test_a_member_that_has_not_noticed_reads_on_beside_the_new_owner(
    broker: MemoryBroker,
) -> None:
    connect = broker.connect("group", auto_offset_reset="earliest")
    async with seat(connect, "orders") as stale, seat(connect, "orders") as owner:
        async with releasing(stale, owner):
            await share_out(2, stale, owner)
        broker.expel(stale.consumer, unnoticed_for_s=2.0)
        async with releasing(owner):
            await poll_until(lambda: len(owner.partitions) == 2, owner)
        broker.produce("orders", b"twice", partition=0)
        broker.produce("orders", b"twice", partition=1)
        await poll_until(lambda: owner.count == 2 and stale.count == 1, owner, stale)

        assert (await stale.revoked()).lost


async def test_an_expelled_member_learns_of_it_from_a_refused_commit(broker: MemoryBroker) -> None:
    broker.produce("orders", b"one", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        broker.expel(member.consumer, unnoticed_for_s=10 * PATIENCE_S)
        with pytest.raises(CommitRejected):
            await member.commit({P0: 1})
        assert (await member.revoked()).lost


async def test_a_member_that_does_not_poll_is_dropped(broker: MemoryBroker) -> None:
    async with (
        seat(broker.connect("group", max_poll_interval_s=0.3), "orders") as idle,
        seat(broker.connect("group"), "orders") as busy,
    ):
        async with releasing(idle, busy):
            await share_out(2, idle, busy)
        async with releasing(busy):
            await poll_until(lambda: len(busy.partitions) == 2, busy)
        revocation = await idle.revoked()
        assert revocation.lost
        revocation.release()
        async with releasing(idle, busy):
            await share_out(2, idle, busy)


async def test_a_waiting_poll_keeps_the_member_in_the_group(broker: MemoryBroker) -> None:
    async with seat(broker.connect("group", max_poll_interval_s=0.1), "orders") as member:
        await share_out(2, member)
        await member.poll(timeout_s=0.5)
        assert broker.members("group") == {member_id(member): {P0, P1}}
