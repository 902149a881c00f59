"""Polls: what they bring, and what they say about the ends of partitions."""

import anyio
import pytest

from tests.support.contracts.consumer_world import (
    CALL_S,
    PATIENCE_S,
    World,
    numbered,
    partitions,
    poll_until,
    seat,
    share_out,
)
from tests.support.waiting import BUSY_S


class PollsContract:
    """A part of the contract of consumers."""

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
            with anyio.fail_after(0.2 + BUSY_S):
                polled = await member.poll(ready=(), timeout_s=0.2)
            assert polled.records == {}

            await poll_until(lambda: member.count == 1, member)

    async def test_with_nothing_to_read_poll_returns_empty_in_time(
        self, world: World, topic: str, group: str
    ) -> None:
        async with seat(world.connect(group), topic) as member:
            await share_out(2, member)
            with anyio.fail_after(0.2 + BUSY_S):
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
            end, polled_at = 0, began
            with anyio.fail_after(PATIENCE_S):
                while not end:
                    before, polled_at = polled_at, anyio.current_time()
                    health = (await member.poll()).health
                    if health is not None and p0 in health.mark_ages_s:
                        end, age_s = health.high_watermarks[p0], health.mark_ages_s[p0]
                        if end == 0:  # the health may be that of the poll before
                            assert before - age_s < written + 0.01
                        else:
                            assert anyio.current_time() - age_s > began - 0.01
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
