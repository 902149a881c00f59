"""An in-memory broker that goes away and comes back."""

import anyio
import pytest

from sdml_kafka.errors import BrokerUnreachable, CommitFailed, CommitRejected
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.reports import Commit
from tests.support.contracts.consumer_world import PATIENCE_S, poll_until, seat, share_out
from tests.support.memory_group import P0, SESSION_S

pytestmark = pytest.mark.anyio


async def test_an_outage_within_the_session_shows_in_the_health_alone(
    broker: MemoryBroker,
) -> None:
    broker.produce("orders", b"one", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        await poll_until(lambda: member.count == 1, member)

        broker.down()
        broker.produce("orders", b"meanwhile", partition=0)
        assert (await member.poll()).records == {}
        assert member.health is not None
        assert not member.health.connected
        with pytest.raises(CommitFailed) as failed, anyio.fail_after(2.0):
            await member.consumer.commit(member.last_epoch, {P0: Commit(1)}, 0.2)
        assert not isinstance(failed.value, CommitRejected)

        broker.up()
        await poll_until(lambda: member.count == 2, member)
        assert member.health.connected
        await member.commit({P0: 2})
        assert [commit.offset for commit in broker.commits] == [2]
        assert member.last_epoch == 1


async def test_what_waits_for_the_broker_goes_on_when_it_is_back(broker: MemoryBroker) -> None:
    broker.produce("orders", b"one", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        broker.down()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(member.commit, {P0: 1})
            tasks.start_soon(member.poll, None, 500, PATIENCE_S)
            await anyio.wait_all_tasks_blocked()
            broker.up()
        assert broker.committed("group", P0) == 1
        assert member.count == 1


async def test_an_outage_longer_than_the_session_loses_the_membership(
    broker: MemoryBroker,
) -> None:
    async with seat(broker.connect("group", session_timeout_s=SESSION_S), "orders") as member:
        await share_out(2, member)
        broker.down()
        await member.poll(timeout_s=SESSION_S + 0.1)
        broker.up()

        revocation = await member.revoked()
        assert revocation.lost
        revocation.release()
        await share_out(2, member)


async def test_start_gives_up_in_time_without_a_broker(broker: MemoryBroker) -> None:
    broker.down()
    async with broker.connect("group")() as consumer:
        with pytest.raises(BrokerUnreachable), anyio.fail_after(2.0):
            await consumer.start(["orders"], 0.2)


async def test_one_that_leaves_during_an_outage_is_missed_only_when_its_session_ends(
    broker: MemoryBroker,
) -> None:
    connect = broker.connect("group", session_timeout_s=SESSION_S)
    async with seat(connect, "orders") as leaver:
        await share_out(2, leaver)
        broker.down()
    broker.up()
    async with seat(connect, "orders") as successor:
        await successor.poll(timeout_s=SESSION_S / 2)
        assert successor.assignment is None
        await share_out(2, successor)
