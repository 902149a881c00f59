"""Streams: what finishes an item, what gives it back, and who shares what."""

from typing import Any

import anyio
import pytest

from sdml_kafka import ClientClosed, ParserSpec, StreamBusy, TypeStream
from sdml_kafka.listener.typed_queue import AHEAD
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TEXTS,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    take,
    take_last,
    until,
)
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


def parsed_by(parser: Any) -> list[ParserSpec[Any]]:
    return [{"topics": [TOPIC], "type": str, "parser": parser}]


def numbers_of(topic: str, times: int = 1) -> ParserSpec[Any]:
    return {"topics": [topic], "type": int, "parser": lambda record: times * int(record.value)}


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


async def test_what_several_loops_gave_back_comes_again_in_order() -> None:
    broker = broker_with(*map(str, range(8)))
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        gate = Gate()
        async with loops(stream, stream, stream, stream, work=gate):
            await until(lambda: len(gate.arrived) == 4)
        assert await take_last(stream, 8) == [str(number) for number in range(8)]


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
            # Each has one in hand: neither is finished by what the other one does.
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


async def test_a_second_task_that_pulls_a_stream_with_anext_is_told_so() -> None:
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


async def test_queue_maxsize_bounds_what_waits_in_a_stream() -> None:
    broker = broker_with(*map(str, range(100)), partitions=2)
    fill(broker, range(100, 200), partition=1)
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str, queue_maxsize=7)
        most = 0
        async for value in stream:
            waiting = sum(p.in_flight for p in listener.status().partitions.values()) - 1
            most = max(most, waiting)
            if value == "99":
                break
            await anyio.sleep(0.01)
    assert most in (6, 7)


async def test_queue_maxsize_holds_with_an_async_parser_too() -> None:
    async def parse(record: object) -> str:
        await anyio.sleep(0.01)
        return "x"

    broker = broker_with(*map(str, range(50)), partitions=2)
    fill(broker, range(50), partition=1)
    async with listener_on(broker, parsers=parsed_by(parse)) as listener:
        stream = await listener.subscribe(str, queue_maxsize=4)
        most = count = 0
        async for _ in stream:
            await anyio.sleep(0.1)
            waiting = sum(p.in_flight for p in listener.status().partitions.values()) - 1
            most, count = max(most, waiting), count + 1
            if count == 100:
                break
    assert most in (3, 4)


async def test_a_slow_stream_holds_back_only_the_partitions_that_feed_it() -> None:
    broker = MemoryBroker({TOPIC: 1, "other": 1})
    fill(broker, range(5000))
    fill(broker, range(5000), topic="other")
    numbers = numbers_of("other")
    async with listener_on(
        broker, parsers=[TEXTS, numbers], max_poll_interval_s=5.0, session_timeout_s=5.0
    ) as listener:
        slow, fast = await listener.subscribe(str), await listener.subscribe(int)
        gate = Gate()
        async with loops(slow, work=gate), loops(fast) as (quick,):
            await quick.has_seen(5000)
            await anyio.sleep(60)  # far longer than the poll interval, in virtual time
            assert quick.seen == list(range(5000))
            assert gate.arrived == ["0"]
            status = listener.status()
            assert status.counters.rebalances == 1
            assert status.partitions[P0].in_flight == AHEAD + 1  # the one in hand
            assert status.partitions[P0].lag == 5000
            gate.open()
            await until(lambda: len(gate.arrived) == 5000)
    assert gate.arrived == [str(number) for number in range(5000)]


@pytest.mark.parametrize("bound", [1, 2, 3, 100])
async def test_max_in_flight_is_an_exact_bound(bound: int) -> None:
    broker = broker_with(*map(str, range(300)), partitions=2)
    fill(broker, range(300), partition=1)
    async with listener_on(broker, max_in_flight=bound) as listener:
        stream = await listener.subscribe(str)
        most, held = 0, []
        async for delivery in stream.deliveries():
            held.append(delivery)
            status = listener.status()
            most = max(most, *(p.in_flight for p in status.partitions.values()))
            if len(held) == 2 * bound:  # of two partitions: there is no room for another one
                held.pop(0).done()
                if status.counters.finished > 200:
                    break
                while len(held) > bound:
                    held.pop(0).done()
        assert most == bound


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


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_nothing_is_lost_between_start_and_subscribe(reset: str) -> None:
    broker = MemoryBroker({TOPIC: 2})
    async with listener_on(broker, auto_offset_reset=reset) as listener:
        fill(broker, range(3))
        fill(broker, range(3, 6), partition=1)
        await anyio.sleep(10)
        assert listener.status().partitions[P0].position == 0
        stream = await listener.subscribe(str)
        assert sorted(await take_last(stream, 6)) == [str(number) for number in range(6)]
        await listener.commit()
    assert (broker.committed(GROUP, P0), broker.committed(GROUP, P1)) == (3, 3)


async def test_a_topic_is_read_again_from_where_its_last_stream_left_it() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker) as listener:
        async with await listener.subscribe(str) as stream:
            assert await take(stream, 1) == ["a"]
        fill(broker, "cd")
        await anyio.sleep(10)
        assert await take_last(await listener.subscribe(str), 3) == ["b", "c", "d"]


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
