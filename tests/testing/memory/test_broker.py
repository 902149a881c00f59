"""What a test can order of the in-memory broker, beyond the contract."""

from collections import Counter

import anyio
import pytest

from sdml_kafka.errors import (
    AuthorizationFailed,
    BrokerUnreachable,
    CommitFailed,
    CommitRejected,
    ConsumerFailed,
)
from sdml_kafka.testing.memory.broker import MemoryBroker, MemoryCommit, MemoryConsumer, Misuse
from sdml_kafka.transport.interfaces import TopicPartition
from tests.support.contracts.consumer_world import (
    PATIENCE_S,
    Seat,
    backend_in_virtual_time,
    poll_until,
    releasing,
    seat,
    share_out,
)

P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)
SESSION_S = 1.0


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    return backend_in_virtual_time(request.param)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"orders": 2})


def member_id(member: Seat) -> str:
    assert isinstance(member.consumer, MemoryConsumer)
    return member.consumer.member_id


# -- topics ------------------------------------------------------------------------------


def test_a_key_stays_in_its_partition_and_the_keyless_go_round(broker: MemoryBroker) -> None:
    keyed = {broker.produce("orders", b"", key=b"customer").partition for _ in range(10)}
    assert len(keyed) == 1

    keyless = Counter(broker.produce("orders", b"").partition for _ in range(10))
    assert keyless == {0: 5, 1: 5}


def test_a_record_is_kept_as_it_was_produced() -> None:
    broker = MemoryBroker({"orders": 1}, clock=lambda: 12.5)
    record = broker.produce("orders", b"value", key=b"key", headers=[("name", b"\xff")])

    assert (record.topic, record.partition, record.offset) == ("orders", 0, 0)
    assert (record.key, record.value, record.headers) == (b"key", b"value", (("name", b"\xff"),))
    assert record.timestamp == 12_500
    assert broker.records(P0) == (record,)
    assert broker.end_offset(P0) == 1


@pytest.mark.anyio
async def test_offsets_may_have_gaps(broker: MemoryBroker) -> None:
    broker.produce("orders", b"before", partition=0)
    broker.skip_offsets(P0, 3)
    broker.produce("orders", b"after", partition=0)
    async with broker.connect("group", auto_offset_reset="earliest")() as consumer:
        await consumer.start(["orders"], 1.0)
        await consumer.poll((), 1, 1.0)

        polled = await consumer.poll([P0], 500, 1.0)

        assert [record.offset for record in polled.records[P0]] == [0, 4]
        assert broker.end_offset(P0) == 5


# -- membership --------------------------------------------------------------------------


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_an_expelled_member_is_told_that_all_is_lost_and_joins_again(
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


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_a_refused_commit_tells_the_member(broker: MemoryBroker) -> None:
    broker.produce("orders", b"one", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        broker.expel(member.consumer, unnoticed_for_s=10 * PATIENCE_S)
        with pytest.raises(CommitRejected):
            await member.commit({P0: 1})
        assert (await member.revoked()).lost


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_a_waiting_poll_keeps_the_member_in_the_group(broker: MemoryBroker) -> None:
    async with seat(broker.connect("group", max_poll_interval_s=0.1), "orders") as member:
        await share_out(2, member)
        await member.poll(timeout_s=0.5)
        assert broker.members("group") == {member_id(member): {P0, P1}}


# -- broker away -------------------------------------------------------------------------


@pytest.mark.anyio
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
            await member.consumer.commit(member.last_epoch, {P0: 1}, 0.2)
        assert not isinstance(failed.value, CommitRejected)

        broker.up()
        await poll_until(lambda: member.count == 2, member)
        assert member.health.connected
        await member.commit({P0: 2})
        assert [commit.offset for commit in broker.commits] == [2]
        assert member.last_epoch == 1


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_start_gives_up_in_time_without_a_broker(broker: MemoryBroker) -> None:
    broker.down()
    async with broker.connect("group")() as consumer:
        with pytest.raises(BrokerUnreachable), anyio.fail_after(2.0):
            await consumer.start(["orders"], 0.2)


@pytest.mark.anyio
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


# -- failures to order -------------------------------------------------------------------


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_starts_fail_as_ordered(broker: MemoryBroker) -> None:
    broker.fail_starts(BrokerUnreachable("ordered"), times=2)
    connect = broker.connect("group")
    for _ in range(2):
        async with connect() as consumer:
            with pytest.raises(BrokerUnreachable, match="ordered"):
                await consumer.start(["orders"], 1.0)
    async with seat(connect, "orders") as member:
        await share_out(2, member)


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_a_held_commit_outlives_its_caller_but_not_its_assignment(
    broker: MemoryBroker,
) -> None:
    for _ in range(2):
        broker.produce("orders", b"", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        broker.hold_commits()
        with pytest.raises(CommitFailed, match="may have gone through"):
            await member.consumer.commit(member.last_epoch, {P0: 1}, 0.1)
        broker.release_commits()
        assert broker.committed("group", P0) == 1

        broker.hold_commits()
        with pytest.raises(CommitFailed):
            await member.consumer.commit(member.last_epoch, {P0: 2}, 0.1)
        broker.rebalance("group")
        (await member.revoked()).release()
        broker.release_commits()
        assert broker.committed("group", P0) == 1


@pytest.mark.anyio
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
            await member.consumer.commit(member.last_epoch, {P0: 1}, 0.1)


@pytest.mark.anyio
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


# -- misuse ------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_what_no_program_can_mean_is_refused(broker: MemoryBroker) -> None:
    for _ in range(3):
        broker.produce("orders", b"", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        await member.commit({P0: 2})

        for offsets in ({P0: 1}, {P0: 4}, {TopicPartition("orders", 7): 0}, {}):
            with pytest.raises(Misuse):
                await member.commit(offsets)
        with pytest.raises(Misuse, match="max_records"):
            await member.consumer.poll((), 0, 1.0)
        with pytest.raises(Misuse, match="twice"):
            await member.consumer.start(["orders"], 1.0)
        with pytest.raises(Misuse, match="no topic"):
            broker.produce("unknown", b"")
        with pytest.raises(Misuse, match="no partition"):
            broker.end_offset(TopicPartition("unknown", 0))
        with pytest.raises(Misuse, match="no group"):
            broker.expel("nobody")


@pytest.mark.anyio
async def test_two_polls_at_once_are_refused(broker: MemoryBroker) -> None:
    async with seat(broker.connect("group"), "orders") as member:
        await share_out(2, member)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(member.poll, None, 500, PATIENCE_S)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Misuse, match="at once"):
                await member.poll()
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_nothing_works_before_the_start(broker: MemoryBroker) -> None:
    async with broker.connect("group")() as consumer:
        with pytest.raises(Misuse, match="before start"):
            await consumer.poll((), 1, 0.1)
        with pytest.raises(Misuse, match="before start"):
            await consumer.commit(1, {P0: 1}, 0.1)


@pytest.mark.anyio
async def test_a_release_out_of_its_time_does_nothing(broker: MemoryBroker) -> None:
    async with seat(broker.connect("group"), "orders") as member:
        await share_out(2, member)
        broker.rebalance("group")
        first = await member.revoked()
        first.release()
        await share_out(2, member)
        broker.rebalance("group")
        second = await member.revoked()
        first.release()
        await member.poll()
        assert member.assignment is None
        second.release()
        await share_out(2, member)
