"""Records that a program drops elsewhere are given back where the listener's event loop runs."""

import asyncio

import anyio
import anyio.to_thread
import pytest

from sdml_kafka import Delivery
from sdml_kafka.listener.dropped import OFTEN, Dropped
from sdml_kafka.testing import MemoryRecord
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

pytestmark = pytest.mark.timeout(30)
on_both_loops = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.mark.anyio
@in_virtual_time
async def test_a_delivery_that_another_thread_drops_wakes_a_loop() -> None:
    async with listener_on(broker_with(*"abc")) as listener:
        stream, opened = await listener.subscribe(str), list[Delivery[str]]()
        opened.append(await anext(stream.deliveries()))
        async with loops(stream) as (loop,):
            await loop.has_seen(2)
            await anyio.to_thread.run_sync(opened.clear)
            await loop.has_seen(3)
        assert loop.seen == ["b", "c", "a"]


@pytest.mark.anyio
@in_virtual_time
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


@pytest.mark.anyio
@in_virtual_time
async def test_a_stream_that_another_thread_drops_holds_up_no_commit() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker, auto_commit={"every": 1}) as listener:
        stream = await listener.subscribe(str)
        other = [await listener.subscribe(str, fresh=True)]
        assert await take_last(stream, 3) == ["a", "b", "c"]
        await anyio.to_thread.run_sync(other.clear)
        await until(lambda: broker.committed(GROUP, P0) == 3)


@on_both_loops
def test_nothing_is_undone_where_no_event_loop_runs_or_another_one(backend: str) -> None:
    dropped, undone = Dropped(lambda record: None), list[str]()

    async def drop_at_once() -> None:
        dropped.open()
        dropped.undo(lambda: undone.append("here"))
        assert undone == ["here"]

    async def drop_in_another_loop() -> None:
        dropped.undo(lambda: undone.append("in another loop"))

    anyio.run(drop_at_once, backend=backend)
    dropped.undo(lambda: undone.append("in none"))
    anyio.run(drop_in_another_loop, backend=backend)
    assert undone == ["here"]


@on_both_loops
def test_what_another_thread_has_dropped_is_undone_soon(backend: str) -> None:
    async def drop() -> None:
        dropped, undone = Dropped(lambda record: None), anyio.Event()
        dropped.open()
        await anyio.to_thread.run_sync(dropped.undo, undone.set)
        with anyio.fail_after(20.0):
            await undone.wait()

    anyio.run(drop, backend=backend)


def test_between_two_runs_of_a_loop_it_is_undone_in_the_next_one() -> None:
    dropped, undone = Dropped(lambda record: None), list[str]()

    async def open_here() -> None:
        dropped.open()

    with asyncio.Runner() as runner:
        runner.run(open_here())
        dropped.undo(lambda: undone.append("between"))
        assert not undone
        runner.run(asyncio.sleep(0))
        assert undone == ["between"]


@on_both_loops
def test_what_is_counted_once_the_loop_has_ended_is_told_to_nobody(backend: str) -> None:
    told = list[object]()
    dropped = Dropped(told.append)

    async def open_here() -> None:
        dropped.open()

    anyio.run(open_here, backend=backend)
    for _ in range(OFTEN):
        dropped.count(MemoryRecord("topic", 0, 0, 0, None, b"a"))
    assert not told
