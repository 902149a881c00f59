"""Records that a program drops in another thread are given back in that of the event loop."""

import anyio
import anyio.to_thread
import pytest

from sdml_kafka import Delivery
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    broker_with,
    listener_on,
    loops,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_a_delivery_that_another_thread_drops_wakes_a_loop() -> None:
    async with listener_on(broker_with(*"abc")) as listener:
        stream, opened = await listener.subscribe(str), list[Delivery[str]]()
        opened.append(await anext(stream.deliveries()))
        async with loops(stream) as (loop,):
            await loop.has_seen(2)
            await anyio.to_thread.run_sync(opened.clear)
            await loop.has_seen(3)
        assert loop.seen == ["b", "c", "a"]


async def test_a_loop_that_another_thread_drops_wakes_another_one() -> None:
    async with listener_on(broker_with(*"abc")) as listener:
        stream = await listener.subscribe(str)
        begun = [aiter(stream)]
        assert await anext(begun[0]) == "a"
        async with loops(stream) as (loop,):
            await loop.has_seen(2)
            await anyio.to_thread.run_sync(begun.clear)
            await loop.has_seen(3)
        assert loop.seen == ["b", "c", "a"]


async def test_a_stream_that_another_thread_drops_holds_up_no_commit() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker, auto_commit={"every": 1}) as listener:
        stream = await listener.subscribe(str)
        other = [await listener.subscribe(str, fresh=True)]
        assert await take_last(stream, 3) == ["a", "b", "c"]
        await anyio.to_thread.run_sync(other.clear)
        await until(lambda: broker.committed(GROUP, P0) == 3)
