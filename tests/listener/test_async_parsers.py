"""Partitions whose async parsers compete for the room in one stream: nothing waits for ever."""

from random import Random
from typing import Any

import anyio
import pytest

from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import TOPIC, fill, listener_on, loops, parsed_by
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

PARTITIONS = 4


def broker_with(count: int) -> MemoryBroker:
    broker = MemoryBroker({TOPIC: PARTITIONS})
    for partition in range(PARTITIONS):
        fill(broker, range(partition, count, PARTITIONS), partition)
    return broker


@pytest.mark.parametrize("loop_count", [1, 3])
@pytest.mark.parametrize("queue_maxsize", [0, 7])
@pytest.mark.parametrize("max_in_flight", [1000, 10])
async def test_each_record_arrives(loop_count: int, queue_maxsize: int, max_in_flight: int) -> None:
    random = Random(loop_count)
    broker = MemoryBroker({TOPIC: PARTITIONS})
    for number in range(1000):
        fill(broker, [number], random.randrange(PARTITIONS))

    async def parse(record: Any) -> str:
        await anyio.sleep(random.uniform(0.0, 0.002))
        return str(record.value.decode())

    async def work(_: object) -> None:
        await anyio.sleep(random.uniform(0.0, 0.001))

    async with listener_on(
        broker, parsers=parsed_by(parse), max_in_flight=max_in_flight
    ) as listener:
        stream = await listener.subscribe(str, queue_maxsize)
        async with loops(*[stream] * loop_count, work=work) as running:
            await until(lambda: sum(len(loop.seen) for loop in running) >= 1000)
            seen = [value for loop in running for value in loop.seen]
    assert sorted(map(int, seen)) == list(range(1000))


async def test_a_partition_that_parses_to_nothing_lets_the_others_have_its_room() -> None:
    async def parse(record: Any) -> str:
        await anyio.sleep(0.001 * (1 + record.partition))
        if record.partition == 0:
            raise ValueError("not for us")
        return str(record.value.decode())

    broker = broker_with(400)
    async with listener_on(broker, parsers=parsed_by(parse)) as listener:
        stream = await listener.subscribe(str, queue_maxsize=100)
        async with loops(stream) as (loop,):
            await loop.has_seen(300)
    assert sorted(map(int, loop.seen)) == [n for n in range(400) if n % PARTITIONS]


async def test_a_partition_that_is_revoked_while_it_parses_lets_the_others_have_its_room() -> None:
    async def parse(record: Any) -> str:
        await anyio.sleep(0.01)
        return str(record.value.decode())

    broker = broker_with(400)
    seen = list[str]()
    async with listener_on(broker, parsers=parsed_by(parse)) as listener:
        stream = await listener.subscribe(str, queue_maxsize=100)
        async with loops(stream) as (loop,):
            await anyio.sleep(0.5)
            async with listener_on(broker, parsers=parsed_by(parse)) as other:
                others = await other.subscribe(str)
                async with loops(others) as (second,):
                    await until(lambda: len({*loop.seen, *second.seen}) >= 400)
                    seen = [*loop.seen, *second.seen]
    assert sorted(map(int, seen)) == list(range(400))


@pytest.mark.parametrize("queue_maxsize", [0, 2, 10])
async def test_a_parser_that_waits_for_ever_holds_up_its_own_partition_alone(
    queue_maxsize: int,
) -> None:
    async def parse(record: Any) -> str:
        if record.partition == 0:
            await anyio.sleep_forever()
        return str(record.value.decode())

    broker = broker_with(400)
    async with listener_on(broker, parsers=parsed_by(parse), drain_timeout=0.0) as listener:
        stream = await listener.subscribe(str, queue_maxsize)
        async with loops(stream) as (loop,):
            await loop.has_seen(300)
    assert sorted(map(int, loop.seen)) == [n for n in range(400) if n % PARTITIONS]
