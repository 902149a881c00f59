"""Partitions that are new to a group begin at their beginning, also with `latest`."""

import anyio
import pytest

from sdml_kafka import TopicPartition
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TOPIC,
    broker_with,
    fill,
    listener_on,
    loops,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_partitions_added_while_the_service_was_down_lose_nothing() -> None:
    broker = broker_with("old")
    async with listener_on(broker, auto_offset_reset="latest"):
        pass
    broker.add_partitions(TOPIC, 1)
    fill(broker, range(20), partition=1)
    async with listener_on(broker, auto_offset_reset="latest") as listener:
        seen = await take_last(await listener.subscribe(str), 20)
    assert seen == list(map(str, range(20)))


async def test_partitions_added_while_a_second_member_joins_lose_nothing() -> None:
    broker = broker_with("old")
    async with listener_on(broker, auto_offset_reset="latest") as first:
        stream = await first.subscribe(str)
        broker.add_partitions(TOPIC, 2)
        for partition in (1, 2):
            fill(broker, range(20), partition=partition)
        async with (
            listener_on(broker, auto_offset_reset="latest") as second,
            loops(stream, await second.subscribe(str)) as running,
        ):
            await until(lambda: sum(len(loop.seen) for loop in running) >= 40)
            await anyio.sleep(10)
            seen = running[0].seen + running[1].seen
            assert sorted(seen) == sorted([str(number) for number in range(20)] * 2)


@pytest.mark.parametrize("count", [2, 50])
async def test_a_topic_created_anew_under_a_listener_loses_nothing(count: int) -> None:
    broker = broker_with(partitions=1)
    async with (
        listener_on(broker, auto_offset_reset="latest") as listener,
        loops(await listener.subscribe(str)) as (loop,),
    ):
        fill(broker, range(5))
        await loop.has_seen(5)
        await until(lambda: broker.committed(GROUP, P0) == 5)
        broker.delete_topic(TOPIC)
        broker.create_topic(TOPIC)
        fill(broker, range(count))
        await loop.has_seen(5 + count)
        assert loop.seen[5:] == list(map(str, range(count)))
        await until(lambda: broker.committed(GROUP, P0) == count)
        assert listener.status().partitions[P0].lag == 0


async def test_a_group_that_begins_reads_nothing_old_whoever_joins() -> None:
    """A commit of one partition does not make the others of the topic new."""
    broker = broker_with("old", partitions=2)
    fill(broker, ["old"], partition=1)
    async with (
        listener_on(broker, auto_offset_reset="latest") as first,
        listener_on(broker, auto_offset_reset="latest") as second,
        loops(await first.subscribe(str), await second.subscribe(str)) as running,
    ):
        fill(broker, ["new"])
        fill(broker, ["new"], partition=1)
        await until(lambda: sum(len(loop.seen) for loop in running) >= 2)
        assert running[0].seen + running[1].seen == ["new", "new"]


async def test_beside_commits_of_other_clients_what_has_none_begins_at_its_beginning() -> None:
    broker = broker_with("old", partitions=2)
    fill(broker, ["unread"], partition=1)
    broker.commit(GROUP, P0, 1)
    async with listener_on(broker, auto_offset_reset="latest") as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["unread"]
    assert broker.committed(GROUP, P1) == 1


async def test_reading_creates_no_topic() -> None:
    broker = broker_with()
    broker.delete_topic(TOPIC)
    async with listener_on(broker) as listener:
        await until(lambda: listener.status().missing_topics)
        await anyio.sleep(60)
        with pytest.raises(AssertionError, match="there is no"):
            broker.end_offset(TopicPartition(TOPIC, 0))
