"""Loops and streams of one type share its records; several parsers of one topic all run."""

import anyio
import pytest

from tests.support.listener_on_twin import (
    GROUP,
    P0,
    TEXTS,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    numbers_of,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_streams_of_one_type_compete_and_each_record_is_seen_once() -> None:
    broker = broker_with(*map(str, range(100)), partitions=2)
    fill(broker, range(100, 200), partition=1)
    async with listener_on(broker) as listener:
        streams = [await listener.subscribe(str), await listener.subscribe(str)]
        async with loops(*streams, work=lambda _: anyio.sleep(0.01)) as (first, second):
            await until(lambda: len(first.seen) + len(second.seen) == 200)
            await until(lambda: listener.status().counters.finished == 200)
        assert len(first.seen) > 50
        assert len(second.seen) > 50
        assert sorted(first.seen + second.seen, key=int) == [str(n) for n in range(200)]


async def test_two_tasks_that_loop_over_one_stream_share_it() -> None:
    broker = broker_with(*map(str, range(50)))
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        gate = Gate()
        async with loops(stream, stream, work=gate) as (first, second):
            await until(lambda: len(gate.arrived) == 2)
            # Each loop has an item in hand, which the other loop must not finish.
            assert sorted(first.seen + second.seen) == ["0", "1"]
            assert listener.status().counters.finished == 0
            gate.open()
            await until(lambda: listener.status().counters.finished == 50)
        assert sorted(first.seen + second.seen, key=int) == [str(n) for n in range(50)]


async def test_a_loop_that_is_cancelled_leaves_the_item_of_the_other_one_alone() -> None:
    broker = broker_with("a", "b", "c")
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        gate = Gate()
        async with loops(stream, stream, work=gate) as (first, second):
            await until(lambda: len(gate.arrived) == 2)
            has_a, has_b = (first, second) if first.seen == ["a"] else (second, first)
            has_a.scope.cancel()
            await has_a.ended.wait()
            gate.open()
            await until(lambda: listener.status().counters.finished == 3)
        assert has_a.seen == ["a"]
        assert has_b.seen == ["b", "a", "c"]


async def test_several_specs_on_one_topic_all_run() -> None:
    broker = broker_with("1", "2")
    parsers = [TEXTS, numbers_of(TOPIC), numbers_of(TOPIC, times=2)]
    async with listener_on(broker, parsers=parsers) as listener:
        texts, ints = await listener.subscribe(str), await listener.subscribe(int)
        assert await take_last(texts, 2) == ["1", "2"]
        await listener.commit()
        assert broker.committed(GROUP, P0) == 0
        assert sorted(await take_last(ints, 4)) == [1, 2, 2, 4]
        await listener.commit()
        assert broker.committed(GROUP, P0) == 2


async def test_several_specs_of_one_type_on_one_topic_fit_a_small_queue() -> None:
    broker = broker_with("1", "2", "3")
    async with listener_on(broker, parsers=[numbers_of(TOPIC), numbers_of(TOPIC)]) as listener:
        ints = await listener.subscribe(int, queue_maxsize=1)
        assert await take_last(ints, 6) == [1, 1, 2, 2, 3, 3]
