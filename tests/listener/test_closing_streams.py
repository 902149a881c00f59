"""What closing a stream does to the loops over it."""

import anyio
import pytest

from sdml_kafka import ClientClosed
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_a_closed_stream_ends_its_loops_and_those_of_the_others_go_on() -> None:
    broker = MemoryBroker({TOPIC: 1})
    async with listener_on(broker) as listener:
        closing, other = await listener.subscribe(str), await listener.subscribe(str)
        async with loops(closing, closing, other) as (first, second, third):
            await anyio.wait_all_tasks_blocked()
            await closing.aclose()
            await closing.aclose()  # again is harmless
            await first.ended.wait()
            await second.ended.wait()
            assert first.error is second.error is None
            fill(broker, "abc")
            await third.has_seen(3)
            assert not third.ended.is_set()
        with pytest.raises(ClientClosed, match="subscribe again"):
            aiter(closing)


async def test_closing_a_stream_lets_the_item_in_hand_finish() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        gate = Gate()
        async with loops(stream, work=gate) as (loop,):
            await until(lambda: gate.arrived)
            await stream.aclose()
            assert not loop.ended.is_set()
            gate.open()
            await loop.ended.wait()
        assert loop.seen == ["a"]
        assert listener.status().counters.finished == 1
        assert await take_last(await listener.subscribe(str), 1) == ["b"]


async def test_a_stream_is_closed_while_another_task_waits_for_it() -> None:
    broker = MemoryBroker({TOPIC: 1})
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        ended = []

        async def wait() -> None:
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
            ended.append(True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
    assert ended == [True]
