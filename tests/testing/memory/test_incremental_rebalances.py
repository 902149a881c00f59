"""Groups of the in-memory broker whose rebalances move only what has to move."""

from collections.abc import Mapping

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.errors import CommitRejected
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.incremental_group import nearest_shares
from sdml_kafka.testing.memory.member import Member, MemberOptions
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.consumer_world import poll_until, releasing, seat, share_out
from tests.support.memory_group import P0, P1, member_id

pytestmark = pytest.mark.anyio

OPTIONS = MemberOptions("earliest", 10.0, 10.0, 300.0)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"orders": 2}, rebalances="incremental")


async def test_a_rebalance_of_a_group_in_balance_moves_nothing(broker: MemoryBroker) -> None:
    connect = broker.connect("group")
    async with seat(connect, "orders") as first, seat(connect, "orders") as second:
        async with releasing(first, second):
            await share_out(2, first, second)
        revocations, assignments = len(first.revocations), len(first.assignments)
        broker.rebalance("group")
        await first.poll()
        await second.poll()
        assert (len(first.revocations), len(first.assignments)) == (revocations, assignments)
        assert broker.members("group") == {member_id(first): {P0}, member_id(second): {P1}}


async def test_a_member_that_releases_too_late_loses_all_and_joins_again(
    broker: MemoryBroker,
) -> None:
    broker.produce("orders", b"one", partition=0)
    connect = broker.connect("group", auto_offset_reset="earliest", rebalance_timeout_s=2.0)
    async with seat(connect, "orders") as slow:
        await share_out(2, slow)
        async with seat(connect, "orders") as other:
            revocation = await slow.revoked()
            assert revocation.partitions == {P1}
            await slow.commit({P0: 0})
            async with releasing(other):
                await poll_until(lambda: other.partitions == {P0, P1}, other, slow)
            with pytest.raises(CommitRejected):
                await slow.commit({P0: 1})
            revocation.release()  # which changes nothing any more
            lost = await slow.revoked()
            assert lost.lost
            assert lost.partitions == {P0, P1}
            lost.release()
            async with releasing(slow, other):
                await share_out(2, slow, other)


async def test_an_expelled_member_loses_all_and_the_others_what_nobody_else_has(
    broker: MemoryBroker,
) -> None:
    connect = broker.connect("group", auto_offset_reset="earliest")
    async with seat(connect, "orders") as stale, seat(connect, "orders") as owner:
        async with releasing(stale, owner):
            await share_out(2, stale, owner)
        broker.expel(stale.consumer, unnoticed_for_s=2.0)
        await poll_until(lambda: len(owner.partitions) == 2, owner)
        assert not owner.revocations
        broker.produce("orders", b"twice", partition=0)
        await poll_until(lambda: owner.count == 1 and stale.count == 1, owner, stale)
        lost = await stale.revoked()
        assert lost.lost
        lost.release()
        async with releasing(stale, owner):
            await share_out(2, stale, owner)


async def test_the_partitions_of_a_member_that_died_move_when_its_session_ends(
    broker: MemoryBroker,
) -> None:
    connect = broker.connect("group", session_timeout_s=1.0)
    async with seat(connect, "orders") as first:
        async with seat(connect, "orders") as second:
            async with releasing(first, second):
                await share_out(2, first, second)
            broker.down()
        broker.up()
        began = anyio.current_time()
        await poll_until(lambda: len(first.partitions) == 2, first)
        assert anyio.current_time() - began <= 1.5


async def test_what_no_poll_has_brought_yet_moves_without_a_word(broker: MemoryBroker) -> None:
    connect = broker.connect("group")
    async with seat(connect, "orders") as first, seat(connect, "orders") as second:
        await share_out(2, first, second)
        assert not first.revocations
        assert len(first.partitions) == len(second.partitions) == 1


Case = tuple[list[TopicPartition], list[Member], Mapping[Member, set[TopicPartition]]]


@st.composite
def groups(draw: st.DrawFn) -> Case:
    sizes = {topic: draw(st.integers(0, 5)) for topic in "abc"}
    partitions = [TopicPartition(topic, n) for topic, size in sizes.items() for n in range(size)]
    members = [
        Member(f"member-{number}", OPTIONS, frozenset(draw(st.sets(st.sampled_from("abc")))))
        for number in range(draw(st.integers(0, 4)))
    ]
    before: dict[Member, set[TopicPartition]] = {each: set() for each in members}
    for partition in [*partitions, TopicPartition("a", 9)]:
        owner: Member | None = draw(st.sampled_from([None, *members]))
        if owner is not None:
            before[owner].add(partition)
    return partitions, members, before


@given(groups())
def test_shares_are_level_and_move_no_more_than_they_have_to(
    case: Case,
) -> None:
    partitions, members, before = case
    shares = nearest_shares(partitions, members, before)
    for member in members:
        assert all(each.topic in member.topics for each in shares[member])
    given_out = [each for share in shares.values() for each in share]
    read = {topic for member in members for topic in member.topics}
    assert sorted(given_out) == sorted(each for each in partitions if each.topic in read)
    for giver in members:
        for taker in members:
            if any(each.topic in taker.topics for each in shares[giver]):
                assert len(shares[giver]) - len(shares[taker]) < 2
    # What is in balance stays as it is.
    assert nearest_shares(partitions, members, shares) == shares
