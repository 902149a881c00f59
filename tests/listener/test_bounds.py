"""The records that wait in a stream and those of a partition in flight are bounded."""

import anyio
import pytest

from sdml_kafka.listener.typed_queue import MAX_PARSED_AHEAD
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
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


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
            assert status.partitions[P0].in_flight == MAX_PARSED_AHEAD + 1  # the one in hand
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
            if len(held) == 2 * bound:  # both partitions are full
                held.pop(0).done()
                if status.counters.finished > 200:
                    break
                while len(held) > bound:
                    held.pop(0).done()
        assert most == bound
