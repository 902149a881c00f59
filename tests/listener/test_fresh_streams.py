"""A fresh stream sees every record; a record is finished when all its streams finished it."""

import pytest

from tests.support.listener_on_twin import (
    GROUP,
    P0,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    parsed_by,
    take,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_a_fresh_stream_sees_what_the_others_see_and_both_must_finish_it() -> None:
    broker = broker_with(*"abcde")
    async with listener_on(broker) as listener:
        shared = await listener.subscribe(str)
        fresh = await listener.subscribe(str, fresh=True)
        assert await take_last(shared, 5) == list("abcde")
        await listener.commit()
        assert broker.committed(GROUP, P0) == 0
        assert await take_last(fresh, 3) == list("abc")
        await listener.commit()
        assert broker.committed(GROUP, P0) == 3
        assert await take_last(fresh, 2) == list("de")
        await listener.commit()
        assert broker.committed(GROUP, P0) == 5


async def test_a_fresh_stream_begins_with_what_was_not_dispatched_yet() -> None:
    broker = broker_with(*"ab")
    async with listener_on(broker) as listener:
        shared = await listener.subscribe(str)
        assert await take_last(shared, 2) == ["a", "b"]
        fresh = await listener.subscribe(str, fresh=True)
        fill(broker, "cd")
        assert await take_last(fresh, 2) == ["c", "d"]
        assert await take_last(shared, 2) == ["c", "d"]


async def test_closing_a_fresh_stream_leaves_its_records_to_the_others() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener:
        shared = await listener.subscribe(str)
        async with await listener.subscribe(str, fresh=True) as fresh:
            async for _ in fresh:
                break
        assert await take_last(shared, 3) == ["a", "b", "c"]
        await listener.commit()
        assert broker.committed(GROUP, P0) == 3
        assert listener.status().counters.delivered == 4


@pytest.mark.parametrize("later", ["shared", "fresh"])
async def test_a_stream_that_was_opened_later_has_not_seen_them(later: str) -> None:
    broker = broker_with(*"abcd")
    async with listener_on(broker) as listener:
        first = await listener.subscribe(str, fresh=True)
        async for value in first:
            if value == "b":
                break
        second = await listener.subscribe(str, fresh=later == "fresh")
        await first.aclose()
        last = second if later == "shared" else await listener.subscribe(str)
        assert await take_last(last, 3) == list("bcd")
        await listener.commit()
        assert broker.committed(GROUP, P0) == 4


async def test_when_all_that_got_them_have_closed_the_next_stream_gets_them() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener:
        async with (
            await listener.subscribe(str, fresh=True) as one,
            await listener.subscribe(str, fresh=True) as other,
        ):
            for stream in (one, other):
                assert await take(stream, 1) == ["a"]
        assert await take_last(await listener.subscribe(str), 2) == ["b", "c"]
        await listener.commit()
        assert broker.committed(GROUP, P0) == 3


async def test_the_last_stream_that_closes_leaves_its_records_to_the_next_one() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener:
        async with await listener.subscribe(str, fresh=True) as fresh:
            assert await take(fresh, 1) == ["a"]
        assert await take_last(await listener.subscribe(str), 2) == ["b", "c"]
        await listener.commit()
    assert broker.committed(GROUP, P0) == 3


async def test_an_item_given_back_to_a_fresh_stream_that_is_closed_by_then_is_not_stuck() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener:
        fresh = await listener.subscribe(str, fresh=True)
        gate = Gate()
        async with loops(fresh, work=gate):
            await until(lambda: gate.arrived)
            await fresh.aclose()
        assert await take_last(await listener.subscribe(str), 3) == ["a", "b", "c"]
        await listener.commit()
    assert broker.committed(GROUP, P0) == 3


async def test_a_fresh_stream_that_closes_while_its_records_are_parsed_is_not_stuck() -> None:
    broker, gate = broker_with(*"abc"), Gate()

    async def parse(record: object) -> str:
        await gate(record)
        return "x"

    async with listener_on(broker, parsers=parsed_by(parse)) as listener:
        shared = await listener.subscribe(str)
        fresh = await listener.subscribe(str, fresh=True)
        await until(lambda: gate.arrived)
        await fresh.aclose()
        gate.open()
        assert await take_last(shared, 3) == ["x", "x", "x"]
        await listener.commit()
    assert broker.committed(GROUP, P0) == 3
