"""Deliveries: finished in any order, many at a time, failed, given back."""

import gc
from typing import Any

import anyio
import pytest

from sdml_kafka import SKIP, Delivery, KafkaListener, NotYet, Record, Skip
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    broker_with,
    fill,
    listener_on,
    loops,
    parsed_by,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def open_up(listener: KafkaListener, count: int) -> list[Delivery[str]]:
    """Return the next `count` deliveries of the stream, none of them settled."""
    opened = []
    async for delivery in (await listener.subscribe(str)).deliveries():
        opened.append(delivery)
        if len(opened) == count:
            break
    return opened


async def test_deliveries_may_finish_in_any_order_and_the_commit_waits_for_the_lowest() -> None:
    broker = broker_with(*"abcd")
    async with listener_on(broker) as listener:
        a, b, c, d = await open_up(listener, 4)
        assert (a.value, a.record.offset, a.record.value) == ("a", 0, b"a")
        for delivery, committed in ((d, 0), (b, 0), (a, 2), (c, 4)):
            delivery.done()
            delivery.done()  # again is harmless
            await listener.commit()
            assert broker.committed(GROUP, P0) == committed
        assert listener.status().counters.finished == 4


async def test_async_with_finishes_a_delivery() -> None:
    broker = broker_with(*"ab")
    async with listener_on(broker) as listener:
        for delivery in await open_up(listener, 2):
            async with delivery as same:
                assert same is delivery
        assert listener.status().counters.finished == 2
    assert broker.committed(GROUP, P0) == 2


async def test_deliveries_are_worked_on_concurrently() -> None:
    broker = broker_with(*map(str, range(30)))
    seen: list[str] = []

    async def work(delivery: Delivery[str]) -> None:
        async with delivery:
            await anyio.sleep(0.1 * (30 - int(delivery.value)))
            seen.append(delivery.value)

    async with listener_on(broker) as listener, anyio.create_task_group() as tasks:
        count = 0
        async for delivery in (await listener.subscribe(str)).deliveries():
            tasks.start_soon(work, delivery)
            if (count := count + 1) == 30:
                break
    assert seen == [str(number) for number in reversed(range(30))]
    assert broker.committed(GROUP, P0) == 30


@pytest.mark.parametrize("how", ["raises", "fails"])
async def test_a_failed_delivery_stops_the_listener_with_that_very_error(how: str) -> None:
    broker, boom = broker_with(*"abc"), KeyError("boom")
    with pytest.raises(KeyError) as caught:
        async with listener_on(broker) as listener:
            a, b, c = await open_up(listener, 3)
            a.done()
            c.done()
            if how == "raises":
                async with b:
                    raise boom
            b.fail(boom)
            b.fail(ValueError("again is harmless"))
            await anyio.sleep_forever()
    assert caught.value is boom
    assert broker.committed(GROUP, P0) == 1
    fill(broker, "d")
    async with listener_on(broker) as listener:
        assert await take_last(await listener.subscribe(str), 2) == ["b", "d"]  # "c" has finished


async def test_a_failed_delivery_is_not_delivered_again() -> None:
    broker, seen = broker_with(*"ab"), []
    with pytest.raises(KeyError, match="boom"):
        async with listener_on(broker) as listener:
            async for delivery in (await listener.subscribe(str)).deliveries():
                seen.append(delivery.value)
                if delivery.value == "a":
                    delivery.fail(KeyError("boom"))
    assert seen in (["a"], ["a", "b"])


async def test_a_delivery_that_fails_in_another_task_stops_the_body() -> None:
    broker = broker_with("a")

    async def work(listener: KafkaListener) -> None:
        (delivery,) = await open_up(listener, 1)
        delivery.fail(KeyError("boom"))

    async with anyio.create_task_group() as tasks:
        with pytest.raises(KeyError, match="boom"):
            async with listener_on(broker) as listener:
                tasks.start_soon(work, listener)
                await anyio.sleep_forever()
    assert broker.committed(GROUP, P0) == 0


async def test_a_delivery_whose_body_is_cancelled_is_given_back() -> None:
    broker = broker_with(*"ab")
    async with listener_on(broker) as listener:
        a, b = await open_up(listener, 2)
        b.done()
        with anyio.CancelScope() as scope:
            async with a:
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert listener.status().counters.finished == 1
        assert await take_last(await listener.subscribe(str), 1) == ["a"]
    assert broker.committed(GROUP, P0) == 2


async def test_many_that_are_cancelled_at_once_come_again_in_order() -> None:
    broker = broker_with(*map(str, range(40)))

    async def work(delivery: Delivery[str]) -> None:
        async with delivery:
            await anyio.sleep_forever()

    async with listener_on(broker) as listener:
        async with anyio.create_task_group() as tasks:
            for delivery in await open_up(listener, 20):
                tasks.start_soon(work, delivery)
            del delivery
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        again = await take_last(await listener.subscribe(str), 40)
    assert again == [str(number) for number in range(40)]


async def test_a_delivery_that_is_dropped_is_given_back() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener:
        opened = await open_up(listener, 3)
        opened[1].done()
        opened.clear()
        gc.collect()
        assert await take_last(await listener.subscribe(str), 2) == ["a", "c"]
    assert broker.committed(GROUP, P0) == 3


async def test_as_many_are_open_at_once_as_max_in_flight_allows() -> None:
    broker = broker_with(*map(str, range(20)))
    async with listener_on(broker, max_in_flight=5) as listener:
        stream = await listener.subscribe(str)
        opened: list[Delivery[str]] = []

        async def read() -> None:
            async for delivery in stream.deliveries():
                opened.append(delivery)  # noqa: PERF401  it never ends

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await until(lambda: len(opened) == 5)
            await anyio.sleep(10)
            assert len(opened) == 5
            while len(opened) < 20:
                for delivery in opened:
                    delivery.done()
                await until(lambda: listener.status().partitions[P0].in_flight > 0)
                await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
            opened[-1].done()


async def test_deliveries_and_loops_share_the_records_of_a_stream() -> None:
    broker = broker_with(*map(str, range(10)))
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        opened = await open_up(listener, 4)
        async with loops(stream) as (loop,):
            await loop.has_seen(6)
            assert [each.value for each in opened] + loop.seen == [str(n) for n in range(10)]
            await listener.commit()
            assert broker.committed(GROUP, P0) == 0
            for delivery in opened:
                delivery.done()
            await listener.commit()
            assert broker.committed(GROUP, P0) == 10


async def test_a_delivery_settled_after_the_listener_was_left_moves_nothing() -> None:
    broker = broker_with(*"ab")
    async with listener_on(broker, drain_timeout=1.0) as listener:
        a, b = await open_up(listener, 2)
    a.done()
    b.fail(KeyError("late"))
    assert broker.committed(GROUP, P0) == 0
    assert listener.status().counters.late_finishes == 1


def integer(record: Record) -> int:
    return int(record.value or b"")


def integer_else_skip(record: Record) -> int | Skip:
    return int(record.value or b"") if (record.value or b"").isdigit() else SKIP


@pytest.mark.parametrize("parser", [integer, integer_else_skip])
async def test_records_skipped_between_deliveries_are_finished(parser: Any) -> None:
    broker = broker_with("0")
    async with listener_on(broker, parsers=parsed_by(parser, int)) as listener:
        stream = await listener.subscribe(int)
        assert await take_last(stream, 1) == [0]
        fill(broker, ["1", "a", "2", "b", "c", "3", "4", "d"])  # each parsed as it is handed out

        async def work() -> None:
            async for delivery in stream.deliveries():
                async with delivery:
                    await anyio.sleep(0.1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await until(lambda: listener.status().counters.delivered == 9)
            await anyio.sleep(10)
            assert listener.status().partitions[P0].in_flight == 0
            await listener.commit()
            assert broker.committed(GROUP, P0) == 9
            tasks.cancel_scope.cancel()


async def test_tasks_may_share_one_iterator_while_a_record_waits_to_be_parsed() -> None:
    broker, has_schema, seen = broker_with("a"), False, list[tuple[str, int]]()

    async def get_schema() -> None:
        nonlocal has_schema
        await anyio.sleep(1.0)
        has_schema = True

    def parse(record: Record) -> str:
        if not has_schema and record.value not in (b"a", b"f"):
            raise NotYet("no schema", get_schema)
        return (record.value or b"").decode()

    async def work() -> None:
        async for delivery in deliveries:
            async with delivery:
                seen.append((delivery.value, delivery.record.offset))
                await anyio.sleep(0.1)

    async with (
        listener_on(broker, parsers=parsed_by(parse)) as listener,
        anyio.create_task_group() as tasks,
    ):
        deliveries = (await listener.subscribe(str)).deliveries()
        for _ in range(3):
            tasks.start_soon(work)
        await until(lambda: listener.status().counters.finished == 1)
        fill(broker, "bcdef")  # those that come to loops unparsed, since the first one did parse
        await until(lambda: listener.status().counters.finished == 6)
        tasks.cancel_scope.cancel()
    assert sorted(seen) == [(value, offset) for offset, value in enumerate("abcdef")]
    assert broker.committed(GROUP, P0) == 6
