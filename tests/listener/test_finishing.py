"""What finishes an item of a stream, and what gives it back."""

import anyio
import pytest

from sdml_kafka import StreamBusy, TypeStream
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    Gate,
    broker_with,
    listener_on,
    loops,
    take,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_asking_for_the_next_item_finishes_the_one_before() -> None:
    broker = broker_with("a", "b", "c")
    async with listener_on(broker, auto_commit={"every": 1}) as listener:
        seen: list[str] = []
        async for value in await listener.subscribe(str):
            await until(lambda: (broker.committed(GROUP, P0) or 0) == len(seen))
            assert listener.status().counters.finished == len(seen)
            seen.append(value)
            if value == "c":
                break
    assert seen == ["a", "b", "c"]
    assert broker.committed(GROUP, P0) == 2


async def break_off(stream: TypeStream[str]) -> None:
    async for _ in stream:
        break


async def return_early(stream: TypeStream[str]) -> str | None:
    async for value in stream:
        return value
    return None


async def raise_inside(stream: TypeStream[str]) -> None:
    with pytest.raises(KeyError):
        async for _ in stream:
            raise KeyError


async def be_cancelled_inside(stream: TypeStream[str]) -> None:
    with anyio.CancelScope() as scope:
        async for _ in stream:
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught


@pytest.mark.parametrize("leave", [break_off, return_early, raise_inside, be_cancelled_inside])
async def test_an_item_whose_loop_broke_off_comes_again_and_in_order(leave: object) -> None:
    assert callable(leave)
    broker = broker_with("a", "b", "c")
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        assert await take(stream, 1) == ["a"]
        await leave(stream)
        await listener.commit()
        assert broker.committed(GROUP, P0) == 1
        assert listener.status().partitions[P0].in_flight == 2
        assert await take_last(stream, 2) == ["b", "c"]
        await listener.commit()
    assert broker.committed(GROUP, P0) == 3


async def test_items_that_several_loops_gave_back_come_again_in_order() -> None:
    broker = broker_with(*map(str, range(8)))
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        gate = Gate()
        async with loops(stream, stream, stream, stream, work=gate):
            await until(lambda: len(gate.arrived) == 4)
        assert await take_last(stream, 8) == [str(number) for number in range(8)]


async def test_a_second_task_that_pulls_a_stream_with_anext_gets_an_error() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker, drain_timeout=0.0) as listener:
        stream = await listener.subscribe(str)
        assert await anext(stream) == "a"
        errors = []

        async def pull() -> None:
            with pytest.raises(StreamBusy, match="Loop with `async for`") as caught:
                await anext(stream)
            errors.append(caught.value)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pull)
        assert len(errors) == 1
        assert listener.status().counters.finished == 0
        assert await anext(stream) == "b"
        assert listener.status().counters.finished == 1


async def test_an_item_that_was_pulled_is_given_back_when_its_stream_is_closed() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker) as listener:
        async with await listener.subscribe(str) as stream:
            assert await anext(stream) == "a"
        assert await take_last(await listener.subscribe(str), 2) == ["a", "b"]
