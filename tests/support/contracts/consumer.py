"""The contract of the port's `Consumer`, which every driver keeps on asyncio and on trio."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from sdml_kafka.errors import CommitRejected, ConsumerFailed, SeekFailed
from sdml_kafka.transport.interfaces import Commit, Consumer, Polled, Record, TopicPartition
from tests.support.contracts.consumer_world import (
    CALL_S,
    PATIENCE_S,
    World,
    poll_until,
    releasing,
    seat,
    share_out,
)


def partitions(topic: str, count: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(count)]


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


async def records_of(
    partition: TopicPartition, consumer: Consumer, seeks: int, count: int
) -> list[Record]:
    """Poll until so many records of a partition have come, with what was sought until then."""
    records: list[Record] = []
    with anyio.fail_after(PATIENCE_S):
        while len(records) < count:
            polled = await consumer.poll([partition], 500, 0.1, seeks)
            records.extend(polled.records.get(partition, ()))
    return records


class Contract:
    @pytest.fixture
    async def topic(self, world: World) -> str:
        """Create a topic of two partitions."""
        topic = world.name()
        await world.create_topic(topic, 2)
        return topic

    @pytest.fixture
    def group(self, world: World) -> str:
        return world.name()

    # -- assignment and positions --------------------------------------------------------

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

    # -- poll ----------------------------------------------------------------------------

    async def test_only_ready_partitions_are_read_and_the_others_lose_nothing(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            for number in range(3):
                await world.produce(p0, b"%d" % number)
                await world.produce(p1, b"%d" % number)
                with anyio.fail_after(PATIENCE_S):
                    while len(member.values(p1)) <= number:
                        await member.poll({p1})
            assert member.values(p0) == []

            await poll_until(lambda: member.count == 6, member)

            assert member.values(p0) == member.values(p1) == numbered(3)

    async def test_with_no_partition_ready_poll_returns_empty_in_time(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, _ = partitions(topic, 2)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            await world.produce(p0, b"waits")
            with anyio.fail_after(0.2 + 2.0):
                polled = await member.poll(ready=(), timeout_s=0.2)
            assert polled.records == {}

            await poll_until(lambda: member.count == 1, member)

    async def test_with_nothing_to_read_poll_returns_empty_in_time(
        self, world: World, topic: str, group: str
    ) -> None:
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            with anyio.fail_after(0.2 + 2.0):
                polled = await member.poll(timeout_s=0.2)
            assert polled.records == {}

    async def test_a_waiting_poll_returns_with_the_first_record(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, _ = partitions(topic, 2)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            with anyio.fail_after(PATIENCE_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(member.poll, None, 500, 2 * PATIENCE_S)
                    await world.produce(p0, b"wakes")

            assert member.values(p0) == [b"wakes"]

    async def test_a_nudged_poll_returns_at_once(
        self, world: World, topic: str, group: str
    ) -> None:
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            with anyio.fail_after(PATIENCE_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(member.poll, (), 500, 2 * PATIENCE_S)
                    await anyio.wait_all_tasks_blocked()
                    member.consumer.nudge()

    async def test_a_poll_brings_at_most_max_records_of_each_and_the_rest_comes_next(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(10))
        await world.produce(p1, *numbered(10))
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            with anyio.fail_after(PATIENCE_S):
                while member.count < 20:
                    await member.poll(max_records=3)

            assert member.values(p0) == member.values(p1) == numbered(10)

    async def test_the_health_names_the_ends_of_what_is_assigned(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(4))
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            await poll_until(
                lambda: member.health and dict(member.health.high_watermarks) == {p0: 4, p1: 0},
                member,
            )
            assert member.health is not None
            assert member.health.connected
            assert member.health.held == {}

    async def test_the_health_says_when_an_end_was_seen(
        self, world: World, topic: str, group: str
    ) -> None:
        """The end from before a record was written was not seen after that, nor the other way."""
        p0, _ = partitions(topic, 2)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.health and p0 in member.health.mark_ages_s, member)
            began = anyio.current_time()
            await world.produce(p0, *numbered(1))
            written = anyio.current_time()
            end = 0
            with anyio.fail_after(PATIENCE_S):
                while not end:
                    health = (await member.poll()).health
                    if health is not None and p0 in health.mark_ages_s:
                        end = health.high_watermarks[p0]
                        seen = anyio.current_time() - health.mark_ages_s[p0]
                        assert seen < written + 0.3 if end == 0 else seen > began - 0.3
            assert end == 1

    @pytest.mark.parametrize("read_committed", [False, True])
    async def test_an_assignment_brings_the_ends(
        self, world: World, topic: str, group: str, read_committed: bool
    ) -> None:
        """Nothing was fetched by then, and of what is not ready nothing is."""
        p0, p1 = partitions(topic, 2)
        await world.produce(p0, *numbered(4))
        async with seat(world.connect(group, read_committed=read_committed), topic) as member:
            with anyio.fail_after(PATIENCE_S):
                while (polled := await member.poll(ready=())).assignment is None:
                    pass
            assert polled.health is not None
            ends = polled.health.ends
            assert {each: end.offset for each, end in ends.items()} == {p0: 4, p1: 0}
            assert all(0 <= end.age_s < CALL_S for end in ends.values())

    @pytest.mark.parametrize("read_committed", [False, True])
    async def test_the_end_of_what_is_not_fetched_is_asked_for(
        self, world: World, topic: str, group: str, read_committed: bool
    ) -> None:
        """Records that were fetched and not taken keep a partition from being fetched."""
        p0, p1 = partitions(topic, 2)
        connect = world.connect(group, auto_offset_reset="earliest", read_committed=read_committed)
        async with seat(connect, topic) as member:
            await share_out(2, member)
            await world.produce(p0, *numbered(3))
            for known in (3, 8):
                began = anyio.current_time()
                await world.produce(p1, *(numbered(3) if known == 3 else numbered(5)))
                with anyio.fail_after(PATIENCE_S):
                    while member.health is None or member.health.ends[p1].offset < known:
                        await member.poll(ready=[p0])
                assert member.health.ends[p1].offset == known
                assert anyio.current_time() - member.health.ends[p1].age_s > began - 0.3
            assert member.values(p1) == []
            assert member.values(p0) == numbered(3)
            await poll_until(lambda: member.count == 11, member)

    async def test_the_position_passes_over_what_is_no_record(
        self, world: World, topic: str, group: str
    ) -> None:
        """Markers of transactions and aborted records take offsets, and are delivered to nobody."""
        p0, _ = partitions(topic, 2)
        await world.transact(p0, *numbered(3))
        connect = world.connect(group, auto_offset_reset="earliest", read_committed=True)
        async with seat(connect, topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 3 and member.position(p0) == 4, member)
            await world.transact(p0, *numbered(2, first=3))
            await poll_until(lambda: member.count == 5 and member.position(p0) == 7, member)
            await world.transact(p0)
            await poll_until(lambda: member.position(p0) == 9, member)
            await member.commit({p0: 9})
            assert member.values(p0) == numbered(5)

    async def test_a_poll_that_takes_a_part_does_not_pass_over_the_rest(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, _ = partitions(topic, 2)
        await world.transact(p0, *numbered(3))
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            with anyio.fail_after(PATIENCE_S):
                while member.count < 2:
                    await member.poll(max_records=1)
            assert member.position(p0) == 2
            await poll_until(lambda: member.position(p0) == 4, member)
            assert member.values(p0) == numbered(3)

    async def test_where_retention_has_deleted_what_comes_next_reading_goes_on_behind_it(
        self, world: World, topic: str, group: str
    ) -> None:
        """Also with `latest`: nothing is left out that is there. An empty log has a position."""
        p0, _ = partitions(topic, 2)
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            await world.produce(p0, *numbered(2))
            await poll_until(lambda: member.count == 2, member)
            for _ in range(3):  # a fetch that waits already would still bring what comes
                await member.poll(ready=())
            await world.produce(p0, *numbered(3, first=2))
            await world.trim(p0, 5)
            member.irregular.add(p0)
            await poll_until(lambda: member.position(p0) == 5, member)
            await world.produce(p0, b"after")
            await poll_until(lambda: member.values(p0)[-1:] == [b"after"], member)

    # -- rebalance -----------------------------------------------------------------------

    async def test_a_join_takes_all_back_and_release_lets_both_have_their_share(
        self, world: World, topic: str, group: str
    ) -> None:
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
                with anyio.fail_after(8.0):
                    await first.consumer.close(5.0)
                await share_out(2, second)
                revocation.release()

    # -- commit --------------------------------------------------------------------------

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

    # -- cancellation and close ----------------------------------------------------------

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
            with anyio.fail_after(6.0):
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
                with anyio.fail_after(5.0):  # the group would wait longer
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
            with anyio.fail_after(6.0):
                await consumer.close(5.0)

    async def test_closing_commits_nothing(self, world: World, topic: str, group: str) -> None:
        p0, _ = partitions(topic, 2)
        await world.produce(p0, *numbered(3))
        async with seat(world.connect(group, auto_offset_reset="earliest"), topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 3, member)

        assert await world.committed(group, p0) is None
