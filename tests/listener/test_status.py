"""What the status of a listener shows."""

import anyio
import attrs
import pytest

from sdml_kafka import TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    P0,
    P1,
    TEXTS,
    TOPIC,
    broker_with,
    fill,
    listener_on,
    loops,
    take,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_the_status_shows_of_each_partition_how_far_it_is() -> None:
    broker = broker_with(*map(str, range(10)), partitions=2)
    async with listener_on(broker, max_in_flight=6) as listener:
        stream = await listener.subscribe(str)
        assert await take(stream, 2) == ["0", "1"]
        await listener.commit()
        await anyio.sleep(4)
        status = listener.status().partitions
    assert set(status) == {P0, P1}
    first = status[P0]
    assert (first.committed, first.high_watermark, first.lag, first.held) == (2, 10, 8, None)
    assert first.position == 2 + first.in_flight
    assert first.in_flight in (4, 5, 6)
    assert 4 <= first.frontier_age_s < 5
    idle = status[P1]
    assert (idle.position, idle.committed, idle.lag, idle.in_flight) == (0, 0, 0, 0)
    assert idle.frontier_age_s == 0


async def test_the_counters_count() -> None:
    broker = broker_with("a", "b", "c")
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        assert await take(stream, 1) == ["a"]  # "b" was delivered, and given back
        assert await take_last(stream, 2) == ["b", "c"]
        counters = listener.status().counters
    assert attrs.asdict(counters) == {
        "delivered": 4,
        "finished": 3,
        "parse_errors": 0,
        "late_finishes": 0,
        "restarts": 0,
        "rebalances": 1,
        "jumps": 0,
        "lost_offsets": 0,
        "corrupt": 0,
        "dead_letters": 0,
    }


async def test_the_tree_has_the_actors_by_name() -> None:
    async with listener_on(broker_with()) as listener:
        tree = listener.status().tree
    assert tree.name == "listener"
    assert [child.name for child in tree.children] == [
        "consumer-loop",
        "dispatcher",
        "commit-scheduler",
    ]


async def test_a_status_is_a_frozen_value() -> None:
    async with listener_on(broker_with("a")) as listener:
        status = listener.status()
        await take_last(await listener.subscribe(str), 1)
        assert status.counters.delivered == 0
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            status.connected = False  # type: ignore[misc]


async def test_a_status_can_be_had_before_entering_and_after_leaving() -> None:
    listener = listener_on(broker_with("a"))
    assert not listener.status().connected
    async with listener:
        assert listener.status().connected
    assert not listener.status().connected
    assert listener.status().partitions == {}
    assert listener.status().counters.rebalances == 1


async def test_a_missing_topic_is_named_and_read_from_its_beginning_once_it_exists() -> None:
    broker = MemoryBroker({TOPIC: 1})
    parsers = [{**TEXTS, "topics": [TOPIC, "later"]}]
    async with listener_on(broker, parsers=parsers, auto_offset_reset="latest") as listener:  # type: ignore[arg-type]
        stream = await listener.subscribe(str)
        assert listener.status().missing_topics == {"later"}
        fill(broker, "a")
        assert await take_last(stream, 1) == ["a"]
        broker.create_topic("later")
        fill(broker, "bc", topic="later")
        assert await take_last(stream, 2) == ["b", "c"]
        assert listener.status().missing_topics == frozenset()
        assert listener.assigned_table() == {"later": [0], TOPIC: [0]}


async def test_a_partition_that_cannot_be_read_is_held_and_the_others_go_on() -> None:
    broker = broker_with("a", partitions=2)
    broker.spoil(P0, "CorruptRecordException: bad header")
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        fill(broker, range(5), partition=1)
        await loop.has_seen(5)
        held = {key: each.held for key, each in listener.status().partitions.items()}
        assert held == {P0: "CorruptRecordException: bad header", P1: None}
        broker.mend(P0)
        await loop.has_seen(6)
        await until(lambda: listener.status().partitions[TopicPartition(TOPIC, 0)].held is None)
