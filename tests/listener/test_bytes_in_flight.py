"""What was fetched and has not finished is bounded in bytes, and nothing stalls by that."""

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import SKIP, Delivery, KafkaListener, ParserSpec
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    P0,
    TEXTS,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    numbers_of,
    parsed_by,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

SIZE = 1000
"""The bytes of each text."""


def texts(count: int, first: int = 0) -> Sequence[str]:
    return [str(number).ljust(SIZE, ".") for number in range(first, first + count)]


def number_in(record: Any) -> int:
    return int(record.value.strip(b"."))


def bytes_of(listener: KafkaListener) -> int:
    status = listener.status()
    assert status.bytes_in_flight == sum(p.bytes_in_flight for p in status.partitions.values())
    return status.bytes_in_flight


@pytest.mark.parametrize("bound", [1, 50_000, 200_000])
@pytest.mark.parametrize("max_in_flight", [10, 1000])
async def test_what_was_fetched_is_bounded(bound: int, max_in_flight: int) -> None:
    broker = broker_with(*texts(600))
    async with listener_on(
        broker, max_in_flight=max_in_flight, max_bytes_in_flight=bound
    ) as listener:
        stream = await listener.subscribe(str)
        began, seen, most = anyio.current_time(), 0, 0
        async for _ in stream:
            seen += 1
            most = max(most, bytes_of(listener))
            if seen <= 100:
                await anyio.sleep(0.1)  # the rest is fetched meanwhile, as far as it may be
            if seen == 600:
                break
        assert anyio.current_time() - began < 11
        assert most <= max(bound, SIZE)
        assert most >= min(bound, SIZE * max_in_flight) / 2


async def test_the_default_is_no_bound_for_records_of_the_usual_size() -> None:
    broker = broker_with(*texts(3000))
    async with (
        listener_on(broker) as listener,
        loops(await listener.subscribe(str), work=Gate()),
    ):
        await until(lambda: bytes_of(listener) >= 2000 * SIZE)


async def test_a_record_larger_than_the_bound_passes() -> None:
    broker = broker_with("x" * 10_000, *texts(3), "y" * 10_000, *texts(3))
    async with listener_on(broker, max_bytes_in_flight=5000) as listener:
        began = anyio.current_time()
        seen = await take_last(await listener.subscribe(str), 8)
        assert anyio.current_time() - began < 0.1  # no poll had to wait until it timed out
        assert [len(value) for value in seen].count(10_000) == 2
        assert bytes_of(listener) == 0


async def test_keys_and_headers_count() -> None:
    broker = broker_with()
    for _ in range(100):
        broker.produce(TOPIC, None, key=bytes(500), headers=[("name", bytes(496))], partition=0)
    parsers = parsed_by(lambda record: "x")
    async with (
        listener_on(broker, parsers=parsers, max_bytes_in_flight=10_000) as listener,
        loops(await listener.subscribe(str), work=Gate()),
    ):
        await until(lambda: bytes_of(listener) == 5000)
        await anyio.sleep(5)
        assert bytes_of(listener) == 5000  # half of the bound, since the other half is free


async def test_a_slow_stream_holds_back_only_the_partitions_that_feed_it() -> None:
    broker = MemoryBroker({TOPIC: 1, "other": 1})
    fill(broker, texts(500))
    fill(broker, range(5000), topic="other")
    async with listener_on(
        broker, parsers=[TEXTS, numbers_of("other")], max_bytes_in_flight=20_000
    ) as listener:
        slow, fast = await listener.subscribe(str), await listener.subscribe(int)
        gate, began = Gate(), anyio.current_time()
        async with loops(slow, work=gate), loops(fast) as (quick,):
            await quick.has_seen(5000)
            assert anyio.current_time() - began < 0.4  # no poll had to wait until it timed out
            assert gate.arrived == texts(1)
            assert 10_000 <= bytes_of(listener) <= 20_000
            gate.open()
            await until(lambda: len(gate.arrived) == 500)


async def test_partitions_that_hold_all_of_the_bound_stop_no_other() -> None:
    """Then a partition that holds nothing gets one record after another."""
    broker = MemoryBroker({TOPIC: 30, "other": 1})
    for partition in range(30):
        fill(broker, texts(100), partition)
    fill(broker, texts(300), topic="other")
    numbers: ParserSpec[int] = {"topics": ["other"], "type": int, "parser": number_in}
    async with listener_on(
        broker, parsers=[TEXTS, numbers], max_bytes_in_flight=10_000
    ) as listener:
        slow, fast = await listener.subscribe(str), await listener.subscribe(int)
        async with loops(slow, work=Gate()):
            await until(lambda: bytes_of(listener) >= 10_000)
            await anyio.sleep(5)
            before, began = bytes_of(listener), anyio.current_time()
            async with loops(fast) as (quick,):
                await quick.has_seen(300)
            assert anyio.current_time() - began < 5
            assert bytes_of(listener) <= before + SIZE


async def test_partitions_share_what_there_is() -> None:
    broker = MemoryBroker({TOPIC: 4})
    for partition in range(4):
        fill(broker, texts(200), partition)
    async with listener_on(broker, max_bytes_in_flight=50_000) as listener:
        async with loops(await listener.subscribe(str)) as (loop,):
            await loop.has_seen(800)
        assert bytes_of(listener) == 0


async def test_deliveries_in_hand_count_each_by_itself() -> None:
    """One that is slow in each slice keeps none of those beside it counted, or in memory."""
    broker = broker_with(*texts(2000))
    async with listener_on(broker, max_bytes_in_flight=200_000) as listener:
        stream = await listener.subscribe(str)
        slow: list[Delivery[str]] = []
        began, seen = anyio.current_time(), 0
        async for delivery in stream.deliveries():
            seen += 1
            if seen % 40 == 0:
                slow.append(delivery)
            else:
                delivery.done()
            if seen == 2000:
                break
        del delivery
        assert anyio.current_time() - began < 10
        assert bytes_of(listener) == 50 * SIZE
        for one in slow:
            one.done()
        assert bytes_of(listener) == 0


class Value(str):
    """A text that can be watched."""

    __slots__ = ("__weakref__",)


async def test_a_delivery_keeps_no_other_record_in_memory() -> None:
    broker = broker_with(*texts(10))
    parsers = parsed_by(lambda record: Value(record.value.decode()), Value)
    async with listener_on(broker, parsers=parsers) as listener:
        stream = await listener.subscribe(Value)
        watched: list[weakref.ref[Any]] = []
        kept: list[Delivery[Any]] = []
        with anyio.move_on_after(1):
            async for delivery in stream.deliveries():
                watched.append(weakref.ref(delivery.value))
                if not kept:
                    kept.append(delivery)
                else:
                    delivery.done()
                del delivery
        gc.collect()
        assert [ref() is not None for ref in watched] == [True] + [False] * 9
        assert kept[0].value == texts(1)[0]


async def test_in_hand_as_many_bytes_as_the_bound_allows() -> None:
    broker = broker_with(*texts(100))
    async with listener_on(broker, max_bytes_in_flight=20_000) as listener:
        stream = await listener.subscribe(str)
        held: list[Delivery[str]] = []
        with anyio.move_on_after(5):
            async for delivery in stream.deliveries():
                held += [delivery]
        assert len(held) == 10  # half of the bound, since the other half is free for others
        held.pop().done()
        for _ in range(5):
            held.pop().done()
        assert len(await take_last(stream, 50)) == 50


async def test_what_waits_for_a_closed_stream_stops_no_other() -> None:
    def parse_odd(record: Any) -> Any:
        return record.value.decode() if int(record.value) % 2 else SKIP

    def parse_even(record: Any) -> Any:
        return SKIP if int(record.value) % 2 else int(record.value)

    broker = broker_with(*(str(number).zfill(SIZE) for number in range(600)))
    parsers = parsed_by(parse_odd) + parsed_by(parse_even, int)
    async with listener_on(broker, parsers=parsers, max_bytes_in_flight=32_000) as listener:
        odd, even = await listener.subscribe(str), await listener.subscribe(int)
        async with loops(even) as (loop,):
            await anyio.sleep(5)  # all waits for the odd numbers to be read by now
            assert loop.seen[-1] < 100
            await odd.aclose()
            await until(lambda: bool(loop.seen) and loop.seen[-1] == 598)


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_a_parser_drops_is_held_no_longer(is_async: bool) -> None:
    async def skip_later(record: object) -> Any:
        await anyio.lowlevel.checkpoint()
        return SKIP

    broker = broker_with(*texts(300))
    parser = skip_later if is_async else lambda record: SKIP
    async with listener_on(
        broker, parsers=parsed_by(parser), max_bytes_in_flight=10_000
    ) as listener:
        async with loops(await listener.subscribe(str)):
            await until(lambda: listener.status().counters.finished == 300)
        assert bytes_of(listener) == 0


async def test_after_a_rebalance_only_what_was_fetched_anew_counts() -> None:
    broker = broker_with(*texts(100), partitions=2)
    fill(broker, texts(100), 1)
    options: dict[str, Any] = {"max_bytes_in_flight": 50_000, "drain_timeout": 0.1}
    async with (
        listener_on(broker, **options) as listener,
        loops(await listener.subscribe(str), work=Gate()),
    ):
        await until(lambda: bytes_of(listener) >= 25_000)
        async with listener_on(broker, **options) as other:
            await until(lambda: other.status().partitions != {})
            await until(lambda: listener.status().counters.rebalances == 2)
            await until(lambda: bytes_of(listener) > 0)
            assert len(listener.status().partitions) == 1
            assert bytes_of(listener) <= 50_000
            assert bytes_of(other) == 0  # nobody reads it
    assert bytes_of(listener) == 0


async def test_a_log_that_was_replaced_holds_nothing_of_the_old_one() -> None:
    broker = broker_with(*texts(100))
    async with (
        listener_on(broker, max_bytes_in_flight=50_000) as listener,
        loops(await listener.subscribe(str), work=Gate()),
    ):
        await until(lambda: bytes_of(listener) >= 20_000)
        broker.delete_topic(TOPIC)
        broker.create_topic(TOPIC, 1)
        fill(broker, texts(3))
        await until(lambda: bytes_of(listener) == 3 * SIZE)
        assert listener.status().partitions[P0].bytes_in_flight == 3 * SIZE


async def test_a_loop_that_is_stuck_does_not_keep_what_rebalances_have_taken_back() -> None:
    broker, gate = broker_with(*texts(200)), Gate()
    async with (
        listener_on(broker, drain_timeout=0.0) as listener,
        loops(await listener.subscribe(str), work=gate) as (loop,),
    ):
        await loop.has_seen(1)
        kept = list[int]()
        for number in range(2, 8):
            broker.rebalance("group")
            await until(lambda: listener.status().counters.rebalances == number)  # noqa: B023
            await until(lambda: listener.status().partitions[P0].in_flight == 200)
            gc.collect()
            kept.append(sum(type(each) is Parcel for each in gc.get_objects()))
        assert kept[-1] <= kept[0] + 1
        gate.open()
        await until(lambda: listener.status().counters.finished == 200)
