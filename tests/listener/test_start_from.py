"""Where a listener begins: `start_from`, and `force`."""

from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from sdml_kafka import ConfigurationError, TopicPartition
from tests.support.listener_on_twin import GROUP, P0, P1, broker_with, fill, listener_on, loops
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

TEN = [*map(str, range(10))]


@pytest.mark.parametrize(
    ("start_from", "first"),
    [("earliest", 0), ("latest", 10), ({P0: 6}, 6), (datetime(2100, 1, 1, tzinfo=UTC), 10)],
)
async def test_without_a_commit_reading_begins_there(start_from: Any, first: int) -> None:
    broker = broker_with(*TEN)
    other = "latest" if first < 10 else "earliest"
    listener = listener_on(broker, start_from=start_from, auto_offset_reset=other)
    async with listener, loops(await listener.subscribe(str)) as (loop,):
        assert broker.committed(GROUP, P0) == first
        fill(broker, ["new"])
        await loop.has_seen(11 - first)
        await anyio.sleep(1)
        assert loop.seen == [*TEN[first:], "new"]


@pytest.mark.parametrize("force", [False, True])
async def test_a_commit_counts_unless_it_is_forced(force: bool) -> None:
    broker = broker_with(*TEN)
    broker.commit(GROUP, P0, 7)
    listener = listener_on(broker, start_from={P0: 2}, force=force)
    async with listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(8 if force else 3)
        broker.rebalance(GROUP)
        await until(lambda: listener.status().counters.rebalances == 2)
        await anyio.sleep(2)
        assert loop.seen == TEN[2 if force else 7 :]  # it is forced once


async def test_partitions_that_are_not_named_begin_where_they_would() -> None:
    broker = broker_with(*TEN, partitions=2)
    fill(broker, TEN, partition=1)
    listener = listener_on(broker, start_from={P0: 8})
    async with listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(12)
        assert sorted(loop.seen) == sorted([*TEN, *TEN[8:]])
        assert broker.committed(GROUP, P1) is not None


@pytest.mark.parametrize("force", [False, True])
async def test_an_offset_beyond_the_end_stops_the_listener(force: bool) -> None:
    broker = broker_with(*TEN)
    text = "start_from: 'topic' partition 0 ends at 10.*offset 11"
    with anyio.fail_after(10), pytest.raises(ConfigurationError, match=text):
        async with listener_on(broker, start_from={P0: 11}, force=force):
            await anyio.sleep_forever()
    assert not broker.committed(GROUP, P0)


@pytest.mark.parametrize(
    "options",
    [
        {"force": True},
        {"start_from": 3},
        {"start_from": "first"},
        {"start_from": "latest", "force": 1},
        {"start_from": {P0: -1}},
        {"start_from": {P0: "earliest"}},
        {"start_from": {"topic": 3}},
        {"start_from": {TopicPartition("topic", -1): 3}},
        {"start_from": datetime(2026, 1, 1)},
    ],
)
async def test_what_cannot_work_is_a_configuration_error(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        listener_on(broker_with(), **options)


async def test_a_partition_that_is_new_to_a_group_begins_at_its_beginning() -> None:
    broker = broker_with(*TEN, partitions=2)
    fill(broker, TEN, partition=1)
    broker.commit(GROUP, P0, 10)
    listener = listener_on(broker, start_from="latest", auto_offset_reset="latest")
    async with listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(10)
        assert loop.seen == TEN
