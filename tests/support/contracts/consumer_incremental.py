"""Rebalances that move only what has to move.

Drivers whose rebalances are eager skip these, by `World.incremental`.
"""

from contextlib import AsyncExitStack

import anyio
import pytest

from sdml_kafka.errors import CommitRejected, SeekFailed
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit, Revocation
from tests.support.contracts.consumer_world import (
    CALL_S,
    PATIENCE_S,
    Seat,
    World,
    numbered,
    partitions,
    poll_until,
    records_of,
    releasing,
    seat,
    share_out,
)
from tests.support.waiting import BUSY_S


async def revoked_while_polling(member: Seat, *others: Seat) -> Revocation:
    """Poll until a member has something revoked, since a client may act in its polls alone."""
    async with anyio.create_task_group() as tasks:

        async def poll() -> None:
            while True:
                for each in others:
                    await each.poll()

        tasks.start_soon(poll)
        revocation = await member.revoked()
        tasks.cancel_scope.cancel()
    return revocation


class IncrementalContract:
    """The contract of consumers whose rebalances are incremental."""

    @pytest.fixture(autouse=True)
    def skip_eager(self, world: World) -> None:
        if not world.incremental:
            pytest.skip("the rebalances of this client are eager")

    @pytest.fixture
    async def four(self, world: World) -> str:
        """Create a topic of four partitions with three records each."""
        topic = world.name()
        await world.create_topic(topic, 4)
        for partition in partitions(topic, 4):
            await world.produce(partition, *numbered(3))
        return topic

    async def test_the_settings_say_so(self, world: World, four: str, group: str) -> None:
        async with seat(world.connect(group), four) as member:
            assert member.consumer.settings.incremental

    async def test_a_member_that_is_alone_has_all_from_its_first_assignment_on(
        self, world: World, four: str, group: str
    ) -> None:
        """Whoever enters with `latest` reads what comes from then on."""
        async with seat(world.connect(group), four) as member:
            await poll_until(lambda: member.assignments, member)
            assert member.assignments[0].positions == dict.fromkeys(partitions(four, 4), 3)

    async def test_a_join_takes_what_has_to_move_and_the_rest_is_read_on_meanwhile(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, four) as first:
            await share_out(4, first)
            await poll_until(lambda: first.count == 12, first)
            epoch, assignments = first.last_epoch, len(first.assignments)
            async with seat(connect, four) as second:
                revocation = await revoked_while_polling(first, second, first)
                assert not revocation.lost
                assert revocation.deadline_s > 0
                assert len(revocation.partitions) == len(first.partitions) == 2
                for partition in partitions(four, 4):
                    await world.produce(partition, b"during")
                for _ in range(3):
                    await second.poll()
                    assert not second.partitions
                with anyio.fail_after(PATIENCE_S):
                    while any(first.values(each)[3:] != [b"during"] for each in first.partitions):
                        await first.poll(partitions(four, 4))
                assert all(len(first.values(each)) == 3 for each in revocation.partitions)
                (kept, _), (moves, _) = sorted(first.partitions), sorted(revocation.partitions)
                await first.commit(dict.fromkeys(revocation.partitions, 3), epoch)
                await first.commit({kept: 4}, epoch)
                revocation.release()

                async with releasing(first, second):
                    await share_out(4, first, second)
                    await poll_until(lambda: second.count == 2, second, first)
                assert second.partitions == revocation.partitions
                assert second.values(moves) == [b"during"]
                assert second.assignment is not None
                assert second.assignment.committed[moves] == Commit(3)
                # What has stayed is of the assignment that brought it.
                assert not any(each.positions for each in first.assignments[assignments:])
                await first.commit({kept: 4}, epoch)
                assert await world.committed(group, kept) == 4

    async def test_a_partition_that_stays_and_is_not_ready_loses_nothing(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, four) as first:
            await share_out(4, first)
            with anyio.fail_after(PATIENCE_S):
                while first.count < 4:
                    await first.poll(max_records=1)
            async with seat(connect, four) as second:
                revocation = await revoked_while_polling(first, second)
                left, right = sorted(first.partitions)
                before = len(first.values(right))
                with anyio.fail_after(PATIENCE_S):
                    while len(first.values(left)) < 3:
                        await first.poll({left}, max_records=1)
                await first.poll({left})
                revocation.release()
                async with releasing(first, second):
                    await share_out(4, first, second)
                assert len(first.values(right)) >= before
                await poll_until(lambda: len(first.values(right)) == 3, first)

                assert first.values(left) == first.values(right) == numbered(3)

    async def test_after_the_release_nothing_is_committed_for_what_has_moved(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, four) as first:
            await share_out(4, first)
            await poll_until(lambda: first.count == 12, first)
            async with seat(connect, four) as second:
                revocation = await revoked_while_polling(first, second, first)
                revocation.release()
                (kept, _), (moved, _) = sorted(first.partitions), sorted(revocation.partitions)
                for commits in ({moved: 3}, {kept: 3, moved: 3}):
                    with pytest.raises(CommitRejected):
                        await first.commit(commits)
                assert await world.committed(group, kept) is None
                assert await world.committed(group, moved) is None
                await first.commit({kept: 3})
                async with releasing(first, second):
                    await share_out(4, first, second)
                with pytest.raises(CommitRejected):
                    await first.commit({kept: 3, moved: 3})
                await second.commit({moved: 1})
                assert await world.committed(group, kept) == 3
                assert await world.committed(group, moved) == 1

    async def test_what_was_given_away_and_came_back_has_a_larger_epoch(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, four) as first, releasing(first):
            await share_out(4, first)
            await poll_until(lambda: first.count == 12, first)
            before = first.last_epoch
            async with seat(connect, four) as second, releasing(second):
                await share_out(4, first, second)
                kept, gone = min(first.partitions), min(second.partitions)
                await poll_until(lambda: second.count == 6, second, first)
                await second.commit({gone: 2})
            await share_out(4, first)

            assert first.last_epoch > before
            assert first.assignment is not None
            assert first.assignment.positions[gone] == 2
            for commits in ({gone: 3}, {kept: 3, gone: 3}):
                with pytest.raises(CommitRejected):
                    await first.commit(commits, before)
            await poll_until(lambda: first.values(gone) == [b"2"], first)
            assert first.values(kept) == numbered(3)
            await first.commit({kept: 2}, before)
            await first.commit({kept: 3, gone: 3})
            assert await world.committed(group, kept) == 3
            assert await world.committed(group, gone) == 3

    async def test_when_a_member_closes_its_partitions_come_on_top(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, four) as first, seat(connect, four) as second:
            async with releasing(first, second):
                await share_out(4, first, second)
                await poll_until(lambda: first.count + second.count >= 12, first, second)
                revocations, kept = len(first.revocations), first.partitions
                moving = second.partitions
                await second.commit(dict.fromkeys(moving, 1))
                await second.consumer.close(5.0)
                await poll_until(lambda: len(first.partitions) == 4, first)
                await poll_until(lambda: all(len(first.values(e)) == 2 for e in moving), first)

            assert len(first.revocations) == revocations
            assert all(first.values(each) == numbered(3) for each in kept)

    async def test_a_member_more_than_there_are_partitions_gets_an_empty_assignment(
        self, world: World, topic: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with AsyncExitStack() as stack:
            members = [await stack.enter_async_context(seat(connect, topic)) for _ in range(2)]
            async with releasing(*members):
                await share_out(2, *members)
            revocations = [len(each.revocations) for each in members]
            third = await stack.enter_async_context(seat(connect, topic))
            async with releasing(*members, third):
                await poll_until(lambda: third.assignment is not None, *members, third)
                await share_out(2, *members, third)

            assert not third.partitions
            assert [len(each.revocations) for each in members] == revocations

    async def test_revocations_may_follow_each_other(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group, auto_offset_reset="earliest")
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(seat(connect, four))
            async with releasing(first):
                await share_out(4, first)
                await poll_until(lambda: first.count == 12, first)
            others: list[Seat] = []
            for _ in range(3):
                others.append(await stack.enter_async_context(seat(connect, four)))
                async with releasing(first, *others):
                    await share_out(4, first, *others)
            (kept,) = first.partitions
            assert all(len(each.partitions) == 1 for each in others)
            revoked = [each.partitions for each in first.revocations]
            assert len(frozenset[TopicPartition]().union(*revoked)) == sum(map(len, revoked)) == 3
            assert not any(each.positions for each in first.assignments[1:])
            await world.produce(kept, b"after")
            await poll_until(lambda: len(first.values(kept)) == 4, first)
            assert first.values(kept) == [*numbered(3), b"after"]

    async def test_partitions_that_appear_come_on_top(
        self, world: World, topic: str, group: str
    ) -> None:
        p0, p1, p2, _ = partitions(topic, 4)
        connect = world.connect(group)
        async with seat(connect, topic) as member, releasing(member):
            await share_out(2, member)
            await world.produce(p0, *numbered(3))
            await poll_until(lambda: member.count == 3, member)
            await world.add_partitions(topic, 2)
            await world.produce(p2, *numbered(2))
            await world.produce(p0, b"after")
            await poll_until(lambda: member.count == 6, member)

            assert not member.revocations
            assert member.seen == {p0: [*numbered(3), b"after"], p2: numbered(2)}
            assert len(member.partitions) == 4
            assert not member.values(p1)

    async def test_a_member_that_does_not_release_holds_up_what_it_was_to_give_for_a_time_only(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group, auto_offset_reset="earliest", rebalance_timeout_s=3.0)
        async with seat(connect, four) as first:
            await share_out(4, first)
            await poll_until(lambda: first.count == 12, first)
            epoch = first.last_epoch
            async with seat(connect, four) as second:
                revocation = await revoked_while_polling(first, second, first)
                moving = min(revocation.partitions)
                async with releasing(second):
                    await poll_until(lambda: moving in second.partitions, second, first)

                    with pytest.raises(CommitRejected):
                        await first.commit({moving: 1}, epoch)
                    revocation.release()
                    # Whether or not the member was thrown out, it goes on.
                    async with releasing(first):
                        await share_out(4, first, second)

    async def test_what_stays_is_sought_while_others_are_revoked(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group, auto_offset_reset="earliest")
        async with seat(connect, four) as first:
            await share_out(4, first)
            await poll_until(lambda: first.count == 12, first)
            async with seat(connect, four) as second:
                revocation = await revoked_while_polling(first, second, first)
                (kept, _), (moving, _) = sorted(first.partitions), sorted(revocation.partitions)
                with pytest.raises(SeekFailed):
                    await first.consumer.seek(first.last_epoch, 1, {moving: 0}, CALL_S)
                with pytest.raises(SeekFailed):
                    await first.consumer.seek(first.last_epoch, 2, {kept: 0, moving: 0}, CALL_S)
                found = await first.consumer.seek(first.last_epoch, 3, {kept: 1}, CALL_S)
                assert found == {kept: 1}
                records = await records_of(kept, first.consumer, 3, 2)
                assert [each.value for each in records] == numbered(2, first=1)
                revocation.release()

    async def test_a_revocation_is_returned_again_until_it_is_released(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with seat(connect, four) as first:
            await share_out(4, first)
            async with seat(connect, four) as second:
                revocation = await revoked_while_polling(first, second, first)
                again = await first.consumer.revocation()
                assert again.partitions == revocation.partitions
                assert again.deadline_s <= revocation.deadline_s
                again.release()
                again.release()
                with anyio.move_on_after(0.2) as waiting:
                    await first.consumer.revocation()
                assert waiting.cancelled_caught
                async with releasing(first, second):
                    await share_out(4, first, second)

    async def test_closing_does_not_wait_for_the_release_of_a_part(
        self, world: World, four: str, group: str
    ) -> None:
        connect = world.connect(group)
        async with seat(connect, four) as first:
            await share_out(4, first)
            async with seat(connect, four) as second, releasing(second):
                revocation = await revoked_while_polling(first, second, first)
                with anyio.fail_after(5.0 + BUSY_S):
                    await first.consumer.close(5.0)
                await share_out(4, second)
                revocation.release()
