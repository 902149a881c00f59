"""The contract of the port's `Consumer` for members that read a `Tail`, as RPC clients do."""

from collections.abc import Mapping

import anyio
import pytest

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit, Tail
from tests.support.contracts.consumer_world import (
    PATIENCE_S,
    Reset,
    Seat,
    World,
    numbered,
    partitions,
    poll_until,
    releasing,
    seat,
    share_out,
    skip_unless_eager,
)

FROM_THE_END = Tail()


def positions(member: Seat) -> Mapping[TopicPartition, int]:
    assert member.assignment is not None
    return member.assignment.positions


def elsewhere(member: Seat) -> frozenset[TopicPartition]:
    assert member.assignment is not None
    return member.assignment.elsewhere


async def assigned_anew(member: Seat) -> None:
    """Poll until the next assignment has come."""
    before = len(member.assignments)
    await poll_until(lambda: len(member.assignments) > before, member)


class TailContract:
    @pytest.fixture
    async def topic(self, world: World) -> str:
        """Create a topic of four partitions."""
        topic = world.name()
        await world.create_topic(topic, 4)
        return topic

    @pytest.fixture
    def group(self, world: World) -> str:
        return world.name()

    # -- where it begins -----------------------------------------------------------------

    @pytest.mark.parametrize("reset", ["earliest", "latest"])
    async def test_reading_starts_at_the_end_whatever_was_committed(
        self, world: World, topic: str, group: str, reset: Reset
    ) -> None:
        p0, p1, p2, p3 = partitions(topic, 4)
        await world.produce(p0, *numbered(5))
        await world.produce(p1, *numbered(3))
        connect = world.connect(group, auto_offset_reset=reset)
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as listener:
            await share_out(4, listener)
            await poll_until(lambda: listener.count == 8, listener)
            await listener.commit({p0: 2})

        async with seat(connect, topic, tail=FROM_THE_END) as member:
            await share_out(4, member)
            assert positions(member) == {p0: 5, p1: 3, p2: 0, p3: 0}
            assert member.assignment is not None
            assert member.assignment.committed == {p0: Commit(2), p1: None, p2: None, p3: None}
            for partition in (p0, p1, p2):
                await world.produce(partition, b"after")
            await poll_until(lambda: member.count == 3, member)

            assert member.seen == {p0: [b"after"], p1: [b"after"], p2: [b"after"]}

    async def test_partitions_that_an_earlier_consumer_read_go_on_there(
        self, world: World, topic: str, group: str
    ) -> None:
        another = world.name()
        await world.create_topic(another, 1)
        p0, p1, p2, p3 = all_four = partitions(topic, 4)
        q0 = TopicPartition(another, 0)
        for partition in (*all_four, q0):
            await world.produce(partition, *numbered(5))

        tail = Tail(positions={p0: 2, p1: 0, p2: 5, p3: 5})
        async with seat(world.connect(group), topic, another, tail=tail) as member:
            await share_out(5, member)
            assert positions(member) == {p0: 2, p1: 0, p2: 5, p3: 5, q0: 5}
            await poll_until(lambda: member.count == 8, member)

            assert member.seen == {p0: numbered(3, first=2), p1: numbered(5)}

    async def test_partitions_that_an_earlier_consumer_did_not_have_came_after_it(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1, p2, p3 = all_four = partitions(topic, 4)
        for partition in all_four:
            await world.produce(partition, *numbered(5))

        tail = Tail(positions={p0: 4, p1: 5})
        async with seat(world.connect(group), topic, tail=tail) as member:
            await share_out(4, member)

            assert positions(member) == {p0: 4, p1: 5, p2: 0, p3: 0}

    async def test_an_offset_that_is_gone_is_replaced_by_the_beginning_of_what_is_left(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1, p2, p3 = partitions(topic, 4)
        for partition in (p0, p1):
            await world.produce(partition, *numbered(5))
        await world.trim(p0, 3)

        tail = Tail(positions={p0: 1, p1: 1000, p2: 7})
        async with seat(world.connect(group), topic, tail=tail) as member:
            await share_out(4, member)
            assert positions(member) == {p0: 3, p1: 0, p2: 0, p3: 0}
            await poll_until(lambda: member.count == 7, member)

            assert member.seen == {p0: numbered(2, first=3), p1: numbered(5)}

    # -- over rebalances -----------------------------------------------------------------

    async def test_after_a_rebalance_reading_goes_on_where_it_was(
        self, world: World, topic: str, group: str
    ) -> None:
        """So it is in partitions that another member had meanwhile, and where nothing had come."""
        p0, p1, p2, p3 = all_four = partitions(topic, 4)
        await world.produce(p1, *numbered(2))
        connect = world.connect(group)
        async with seat(connect, topic, tail=FROM_THE_END) as member:
            await share_out(4, member)
            await world.produce(p0, *numbered(3))
            await poll_until(lambda: member.count == 3, member)

            async with seat(connect, topic, tail=FROM_THE_END) as other:
                revocation = await member.revoked()
                for partition in all_four:
                    await world.produce(partition, b"in between")
                revocation.release()
                async with releasing(member, other):
                    await share_out(4, member, other)
                    for partition in all_four:
                        await world.produce(partition, b"shared")

            async with releasing(member):
                await share_out(4, member)
                await poll_until(lambda: sum(map(len, member.seen.values())) == 11, member)

            both = [b"in between", b"shared"]
            assert member.seen == {p0: [*numbered(3), *both], p1: both, p2: both, p3: both}

    async def test_what_was_fetched_and_not_handed_out_comes_after_the_rebalance(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, *_ = partitions(topic, 4)
        connect = world.connect(group)
        async with seat(connect, topic, tail=FROM_THE_END) as member:
            await share_out(4, member)
            await world.produce(p0, *numbered(10))
            with anyio.fail_after(PATIENCE_S):
                while member.count < 3:
                    await member.poll(max_records=3)
            async with seat(connect, topic, tail=FROM_THE_END) as other, releasing(member, other):
                await share_out(4, member, other)
            async with releasing(member):
                await share_out(4, member)
                await poll_until(lambda: len(member.seen[p0]) == 10, member)

            assert member.seen == {p0: numbered(10)}

    async def test_partitions_that_appear_later_are_read_from_their_beginning(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, *_, p4, p5 = partitions(topic, 6)
        async with seat(world.connect(group), topic, tail=FROM_THE_END) as member:
            await share_out(4, member)
            await world.produce(p0, b"before")
            await world.add_partitions(topic, 2)
            await world.produce(p4, *numbered(3))
            await world.produce(p5, *numbered(2))
            async with releasing(member):
                await poll_until(lambda: sum(map(len, member.seen.values())) == 6, member)

            assert member.seen == {p0: [b"before"], p4: numbered(3), p5: numbered(2)}
            assert all(not each.elsewhere for each in member.assignments)

    async def test_a_topic_that_appears_later_is_read_from_its_beginning(
        self, strict_world: World, group: str
    ) -> None:
        world, present, missing = strict_world, strict_world.name(), strict_world.name()
        await world.create_topic(present, 1)
        tail = Tail(share=7)
        async with seat(world.connect(group), present, missing, tail=tail) as member:
            await share_out(1, member)
            await world.create_topic(missing, 4)
            own = TopicPartition(missing, 3)
            await world.produce(own, *numbered(2))
            async with releasing(member):
                await poll_until(lambda: member.values(own) == numbered(2), member)

            assert set(positions(member)) == {TopicPartition(present, 0), own}

    # -- a share -------------------------------------------------------------------------

    @pytest.mark.parametrize(("share", "own"), [(0, 0), (3, 3), (4, 0), (1_000_001, 1)])
    async def test_of_a_share_one_partition_is_read_and_the_others_are_ours_all_the_same(
        self, world: World, topic: str, group: str, share: int, own: int
    ) -> None:
        all_four = partitions(topic, 4)
        for partition in all_four:
            await world.produce(partition, *numbered(3))
        async with seat(world.connect(group), topic, tail=Tail(share=share)) as member:
            await assigned_anew(member)
            assert positions(member) == {all_four[own]: 3}
            assert member.assignment is not None
            assert set(member.assignment.committed) == {all_four[own]}
            assert elsewhere(member) == frozenset()
            for partition in all_four:
                await world.produce(partition, b"after")
            # Asked for all of them, a poll returns records of its own only.
            with anyio.fail_after(PATIENCE_S):
                while not member.count:
                    await member.poll(all_four)
            await member.poll(all_four)

            assert member.seen == {all_four[own]: [b"after"]}

    async def test_a_share_is_one_partition_of_each_topic(
        self, world: World, topic: str, group: str
    ) -> None:
        smaller = world.name()
        await world.create_topic(smaller, 3)
        tail = Tail(share=6)
        async with seat(world.connect(group), topic, smaller, tail=tail) as member:
            own = {TopicPartition(topic, 2), TopicPartition(smaller, 0)}
            # A group that has yet to hear of one of the topics gives the other one first.
            await poll_until(
                lambda: own == {key for each in member.assignments for key in each.positions},
                member,
            )
            assert elsewhere(member) == frozenset()

    async def test_a_share_goes_on_in_the_partition_that_an_earlier_consumer_read(
        self, world: World, topic: str, group: str
    ) -> None:
        _, _, p2, p3 = partitions(topic, 4)
        await world.produce(p2, *numbered(3))
        tail = Tail(positions={p3: 0, p2: 1}, share=0)
        async with seat(world.connect(group), topic, tail=tail) as member:
            await assigned_anew(member)
            assert positions(member) == {p2: 1}
            await poll_until(lambda: member.count == 2, member)

            assert member.seen == {p2: numbered(2, first=1)}

    async def test_a_share_whose_partition_is_gone_is_chosen_anew(
        self, world: World, topic: str, group: str
    ) -> None:
        tail = Tail(positions={TopicPartition(topic, 6): 9}, share=3)
        async with seat(world.connect(group), topic, tail=tail) as member:
            await assigned_anew(member)

            assert positions(member) == {TopicPartition(topic, 3): 0}

    async def test_the_share_stays_the_same_when_the_topic_grows(
        self, world: World, topic: str, group: str
    ) -> None:
        _, p1, _, _, _, p5 = partitions(topic, 6)
        async with seat(world.connect(group), topic, tail=Tail(share=5)) as member:
            await assigned_anew(member)
            assert set(positions(member)) == {p1}
            await world.produce(p1, *numbered(2))
            await poll_until(lambda: member.count == 2, member)
            await world.add_partitions(topic, 2)
            await world.produce(p1, b"in between")
            await world.produce(p5, b"not ours")
            async with releasing(member):
                await assigned_anew(member)
                await poll_until(lambda: len(member.seen[p1]) == 3, member)
                await member.poll(partitions(topic, 6))

            assert positions(member).keys() == {p1}
            assert member.seen == {p1: [*numbered(2), b"in between"]}
            assert all(not each.elsewhere for each in member.assignments)

    async def test_a_revocation_names_the_share_only(
        self, world: World, topic: str, group: str
    ) -> None:
        skip_unless_eager(world)
        _, p1, *_ = partitions(topic, 4)
        connect = world.connect(group)
        async with seat(connect, topic, tail=Tail(share=1)) as member:
            await assigned_anew(member)
            async with seat(connect, topic, tail=Tail(share=1)):
                revocation = await member.revoked()
                assert revocation.partitions == {p1}
                revocation.release()

    async def test_nothing_has_to_be_released_by_a_member_whose_share_is_elsewhere(
        self, world: World, topic: str, group: str
    ) -> None:
        connect, tail = world.connect(group), Tail(share=1)
        async with (
            seat(connect, topic, tail=tail) as first,
            seat(connect, topic, tail=tail) as second,
        ):
            async with releasing(first, second):
                await poll_until(
                    lambda: (
                        all(
                            each.assignment is not None and each.assignment.elsewhere
                            for each in (first, second)
                        )
                        and len(first.partitions) + len(second.partitions) == 1
                    ),  # none on its way
                    first,
                    second,
                )
            owner, idle = (first, second) if first.partitions else (second, first)
            assert len(owner.partitions) == 1
            assert not idle.partitions
            await owner.consumer.close(5.0)

            # An assignment that was on its way as the other one left may come before.
            await poll_until(lambda: not elsewhere(idle), idle)

            assert set(positions(idle)) == {TopicPartition(topic, 1)}

    # -- elsewhere -----------------------------------------------------------------------

    async def test_what_another_member_has_is_elsewhere_until_it_leaves(
        self, world: World, topic: str, group: str
    ) -> None:
        all_four = frozenset(partitions(topic, 4))
        connect = world.connect(group)
        async with seat(connect, topic, tail=FROM_THE_END) as first, releasing(first):
            await share_out(4, first)
            assert elsewhere(first) == frozenset()
            async with seat(connect, topic, tail=FROM_THE_END) as second, releasing(second):
                await share_out(4, first, second)
                assert elsewhere(first) == second.partitions == all_four - first.partitions
                assert elsewhere(second) == first.partitions
            await share_out(4, first)
            assert elsewhere(first) == frozenset()

    async def test_of_a_share_only_what_is_not_assigned_is_elsewhere(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with (
            seat(connect, topic, tail=Tail(share=0)) as first,
            seat(connect, topic, tail=Tail(share=0)) as second,
            releasing(first, second),
        ):
            members = (first, second)
            await poll_until(
                lambda: (
                    all(each.assignment and each.assignment.elsewhere for each in members)
                    and not elsewhere(first) & elsewhere(second)
                ),  # which is on its way
                *members,
            )

            assert elsewhere(first) | elsewhere(second) == frozenset(partitions(topic, 4))

    async def test_topics_of_others_in_the_group_are_not_elsewhere(
        self, world: World, topic: str, group: str
    ) -> None:
        """A client and a server in one group by mistake: each has its own topic alone."""
        requests = world.name()
        await world.create_topic(requests, 3)
        connect = world.connect(group)
        async with (
            seat(connect, requests) as server,
            seat(connect, topic, tail=FROM_THE_END) as client,
            releasing(client, server),
        ):
            await share_out(7, client, server)

            assert client.partitions == frozenset(partitions(topic, 4))
            assert elsewhere(client) == frozenset()

    async def test_for_a_listener_elsewhere_is_not_looked_up(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with (
            seat(connect, topic) as first,
            seat(connect, topic) as second,
            releasing(first, second),
        ):
            await share_out(4, first, second)

            assert elsewhere(first) == elsewhere(second) == frozenset()

    async def test_a_tail_commits_nothing(self, world: World, topic: str, group: str) -> None:
        p0, *_ = partitions(topic, 4)
        async with seat(world.connect(group), topic, tail=FROM_THE_END) as member:
            await share_out(4, member)
            await world.produce(p0, *numbered(3))
            await poll_until(lambda: member.count == 3, member)

        assert await world.committed(group, p0) is None
