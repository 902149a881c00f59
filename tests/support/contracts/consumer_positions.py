"""Which partitions a member is assigned, and where it begins to read them."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from sdml_kafka.errors import OffsetBeyondEnd, SeekFailed
from sdml_kafka.transport.interfaces.consumer import Target
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit, Polled
from tests.support.contracts.consumer_world import (
    CALL_S,
    World,
    numbered,
    partitions,
    poll_until,
    records_of,
    releasing,
    seat,
    share_out,
)


class PositionsContract:
    """A part of the contract of consumers."""

    async def test_the_first_assignment_comes_out_of_poll_with_positions(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(3))

        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)

            assert member.assignment is not None
            assert member.assignment.positions == {p0: 0, p1: 0}
            assert member.assignment.committed == {p0: None, p1: None}
            await poll_until(lambda: member.count == 3, member)
            assert member.values(p0) == numbered(3)

    async def test_the_sizes_of_records_are_those_of_what_was_sent(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, _ = partitions(topic, 2)
        values = [b"", b"1", bytes(5000)]
        await world.produce(p0, *values)

        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await poll_until(lambda: member.count == 3, member)
            assert member.consumer.sizes(member.records[p0]) == [0, 1, 5000]

    async def test_latest_is_where_the_topic_ends_at_the_assignment(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(3))

        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            await world.produce(p0, b"after")
            await world.produce(p1, b"after")
            await poll_until(lambda: member.count == 2, member)

            assert member.assignment is not None
            assert member.assignment.positions == {p0: 3, p1: 0}
            assert member.values(p0) == member.values(p1) == [b"after"]

    async def test_reading_starts_from_what_the_group_has_committed(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(5))
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 5, member)
            await member.commit({p0: 2})

        async with seat(world.connect(group), topic) as successor:
            await share_out(2, successor)
            await poll_until(lambda: successor.count == 3, successor)

            assert successor.assignment is not None
            assert successor.assignment.committed == {p0: Commit(2), p1: None}
            assert successor.values(p0) == numbered(3, first=2)

    async def test_a_seek_moves_partitions_for_polls_that_know_of_it(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(10))
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            await member.poll([p0], max_records=2)
            consumer, epoch = member.consumer, member.last_epoch

            assert await consumer.seek(epoch, 1, {p0: 6, p1: "latest"}, CALL_S) == {p0: 6, p1: 0}
            assert not (await consumer.poll([p0], 500, 0.5)).records  # it does not know
            assert [each.offset for each in await records_of(p0, consumer, 1, 4)] == [6, 7, 8, 9]

            assert await consumer.seek(epoch, 2, {p0: "earliest"}, CALL_S) == {p0: 0}
            assert not (await consumer.poll([p0], 500, 0.5, 1)).records
            assert len(await records_of(p0, consumer, 2, 10)) == 10

            assert await consumer.seek(epoch, 3, {p0: "latest"}, CALL_S) == {p0: 10}
            await world.produce(p0, b"new")
            (new,) = await records_of(p0, consumer, 3, 1)
            at = datetime.fromtimestamp(new.timestamp / 1000, UTC)
            assert await consumer.seek(epoch, 4, {p0: at + timedelta(days=1)}, CALL_S) == {p0: 11}
            assert await consumer.seek(epoch, 5, {p0: at - timedelta(days=1)}, CALL_S) == {p0: 0}
            assert len(await records_of(p0, consumer, 5, 11)) == 11

            with pytest.raises(OffsetBeyondEnd, match="ends at 11"):
                await consumer.seek(epoch, 6, {p1: 0, p0: 12}, CALL_S, within_log=True)
            wanted: dict[TopicPartition, Target] = {p0: 11, p1: 0}
            assert await consumer.seek(epoch, 7, wanted, CALL_S, within_log=True) == wanted

    async def test_a_seek_ends_no_poll_that_waits_with_records_of_before(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            consumer, taken = member.consumer, list[Polled]()

            async def poll() -> None:
                taken.append(await consumer.poll([p0, p1], 500, 1.0))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(poll)
                await anyio.sleep(0.2)
                await consumer.seek(member.last_epoch, 1, {p0: 0}, CALL_S)
                await world.produce(p0, *numbered(3))
            assert not taken[0].records
            assert len(await records_of(p0, consumer, 1, 3)) == 3

    async def test_what_is_not_assigned_cannot_be_moved(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, _ = partitions(topic, 2)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            consumer, epoch = member.consumer, member.last_epoch
            for number, other in ((epoch, TopicPartition(topic, 7)), (epoch - 1, p0)):
                with pytest.raises(SeekFailed):
                    await consumer.seek(number, 1, {other: 0}, CALL_S)

    async def test_a_member_without_partitions_gets_an_empty_assignment(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with (
            seat(connect, topic) as first,
            seat(connect, topic) as second,
            seat(connect, topic) as third,
            releasing(first, second, third),
        ):
            await share_out(2, first, second, third)

            assert sorted(len(each.partitions) for each in (first, second, third)) == [0, 1, 1]

    async def test_a_topic_that_is_missing_is_named_and_read_once_it_is_there(
        self, strict_world: World, group: str
    ) -> None:
        """Reading starts at its beginning, or what comes before the member notices it were lost."""
        world, present, missing = strict_world, strict_world.name(), strict_world.name()
        await world.create_topic(present, 1)
        async with seat(world.connect(group), present, missing) as member, releasing(member):
            await poll_until(lambda: member.health and member.health.missing_topics, member)
            assert member.health is not None
            assert member.health.missing_topics == {missing}
            await share_out(1, member)
            await world.produce(TopicPartition(present, 0), b"present")
            await poll_until(lambda: member.count == 1, member)
            await member.commit({TopicPartition(present, 0): 1})

            await world.create_topic(missing, 1)
            await world.produce(TopicPartition(missing, 0), b"was missing")

            late = TopicPartition(missing, 0)
            await poll_until(lambda: member.values(late) == [b"was missing"], member)
            await poll_until(lambda: member.health and not member.health.missing_topics, member)

    async def test_a_commit_beyond_the_end_of_the_log_leaves_it_to_the_reset(
        self, world: World, topic: str, group: str
    ) -> None:
        """A log that was restored ends before what the group has committed."""
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        await world.commit(group, p0, 100)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            await world.produce(p0, b"after")
            await poll_until(lambda: member.count == 1, member)

            assert member.assignment is not None
            assert member.assignment.positions == {p0: 3, p1: 0}
            assert member.values(p0) == [b"after"]
            await member.commit({p0: 4})
            assert await world.committed(group, p0) == 4

        await world.commit(group, p0, 100)
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 4, member)

    async def test_a_commit_before_the_beginning_of_the_log_leaves_nothing_out(
        self, world: World, topic: str, group: str
    ) -> None:
        """Retention has deleted some records while the service was down, and not the others."""
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(5))
        await world.commit(group, p0, 1)
        await world.trim(p0, 3)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 2, member)

            assert member.assignment is not None
            assert member.assignment.positions == {p0: 3, p1: 0}
            assert member.values(p0) == numbered(2, first=3)

    async def test_partitions_added_while_the_group_was_away_begin_at_their_beginning(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1, p2 = partitions(topic, 3)
        await world.produce(p0, *numbered(3))
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            await member.commit({p0: 3, p1: 0})
        await world.add_partitions(topic, 1)
        await world.produce(p2, *numbered(5))
        async with seat(world.connect(group), topic) as member:
            await share_out(3, member)
            await poll_until(lambda: member.count == 5, member)
            assert member.assignment is not None
            assert member.assignment.positions == {p0: 3, p1: 0, p2: 0}

    async def test_partitions_added_as_a_second_member_joins_begin_at_their_beginning(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1, p2, p3 = partitions(topic, 4)
        connect = world.connect(group)
        async with seat(connect, topic) as first, releasing(first):
            await share_out(2, first)
            await first.commit({p0: 0, p1: 0})
            await world.add_partitions(topic, 2)
            await world.produce(p2, *numbered(5))
            await world.produce(p3, *numbered(5))
            async with seat(connect, topic) as second, releasing(second):
                await share_out(4, first, second)
                await poll_until(lambda: first.count + second.count == 10, first, second)

    async def test_a_group_that_begins_begins_by_the_reset_in_all_partitions(
        self, world: World, topic: str, group: str
    ) -> None:
        """Also where one member has committed before another one has looked."""
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        await world.produce(p1, *numbered(3))
        connect = world.connect(group)
        async with seat(connect, topic) as other, releasing(other):
            async with seat(connect, topic) as member, releasing(member):
                await share_out(2, member, other)
                (owned,) = member.partitions
                await member.commit({owned: 3})
            await poll_until(lambda: len(other.partitions) == 2, other)
            assert other.assignment is not None
            assert other.assignment.positions == {p0: 3, p1: 3}

    async def test_beside_a_commit_of_another_client_what_has_none_begins_at_its_beginning(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        await world.produce(p1, *numbered(3))
        await world.commit(group, p0, 3)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            assert member.assignment is not None
            assert member.assignment.positions == {p0: 3, p1: 0}

    async def test_a_topic_created_anew_under_a_member_is_read_from_its_beginning(
        self, strict_world: World, group: str
    ) -> None:
        world, topic = strict_world, strict_world.name()
        await world.create_topic(topic, 1)
        (p0,) = partitions(topic, 1)
        async with seat(world.connect(group), topic) as member, releasing(member):
            await share_out(1, member)
            await world.produce(p0, *numbered(5))
            await poll_until(lambda: member.count == 5, member)
            await member.commit({p0: 5})
            member.irregular.add(p0)
            await world.replace(topic, 1)
            await world.produce(p0, b"anew", b"again")
            await poll_until(lambda: member.seen[p0][5:] == [b"anew", b"again"], member)
