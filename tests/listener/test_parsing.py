"""Parsers, plain and async, and the types that they may yield."""

from typing import Any

import anyio
import pytest

from sdml_kafka import ParserSpec, TopicPartition, parse_bytes, parse_json, parse_text
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    TOPIC,
    Gate,
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


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (dict, {"a": 1}),
        (dict[str, int], {"a": 1}),
        (int | str, "a"),
        (int | None, None),
        (list[str], ["a"]),
        (tuple[int, ...], (1, 2)),
        (float, 1.5),
    ],
)
async def test_a_type_may_be_any_hashable_hint(hint: Any, value: object) -> None:
    broker = broker_with("x")
    async with listener_on(broker, parsers=parsed_by(lambda _: value, hint)) as listener:
        assert await take_last(await listener.subscribe(hint), 1) == [value]
        assert listener.status().counters.parse_errors == 0


async def test_a_subclass_is_of_the_type_too() -> None:
    class Order(dict[str, int]):
        pass

    broker = broker_with("x")
    async with listener_on(broker, parsers=parsed_by(lambda _: Order(a=1), dict)) as listener:
        assert await take_last(await listener.subscribe(dict), 1) == [{"a": 1}]


async def test_the_ready_made_parsers_read_json_text_and_bytes() -> None:
    broker = MemoryBroker({TOPIC: 1})
    for value in (b'{"a": "\xc3\xa9"}', b"\xff", None):
        broker.produce(TOPIC, value)
    parsers: list[ParserSpec[Any]] = [
        {"topics": [TOPIC], "type": dict, "parser": parse_json},
        {"topics": [TOPIC], "type": str, "parser": parse_text},
        {"topics": [TOPIC], "type": bytes, "parser": parse_bytes},
    ]
    async with listener_on(broker, parsers=parsers) as listener:
        streams = [await listener.subscribe(each) for each in (dict, str, bytes)]
        assert await take_last(streams[0], 1) == [{"a": "é"}]
        assert await take_last(streams[1], 2) == ['{"a": "é"}', ""]
        assert await take_last(streams[2], 3) == [b'{"a": "\xc3\xa9"}', b"\xff", b""]
        assert listener.status().counters.parse_errors == 3


async def test_an_async_parser_that_is_slow_on_one_partition_holds_up_no_other() -> None:
    broker = broker_with("slow", partitions=2)
    fill(broker, range(300), partition=1)
    gate = Gate()

    async def parse(record: Any) -> str:
        if record.partition == 0:
            await gate(record)
        return str(record.value.decode())

    async with (
        listener_on(broker, parsers=parsed_by(parse, str)) as listener,
        loops(await listener.subscribe(str)) as (loop,),
    ):
        await loop.has_seen(300)
        assert loop.seen == [str(number) for number in range(300)]
        fill(broker, range(300, 310), partition=1)
        await loop.has_seen(310)
        gate.open()
        await loop.has_seen(311)
    assert loop.seen[-1] == "slow"


async def test_an_object_with_an_async_call_is_an_async_parser() -> None:
    class Parser:
        async def __call__(self, record: Any) -> int:
            return int(record.value)

    broker = broker_with("0", "oops", "2")
    async with listener_on(broker, parsers=parsed_by(Parser(), int)) as listener:
        assert await take_last(await listener.subscribe(int), 2) == [0, 2]


async def test_records_keep_their_order_through_an_async_parser() -> None:
    async def parse(record: Any) -> int:
        number = int(record.value)
        await anyio.sleep(0.01 * (number % 7))
        return number

    broker = broker_with(*map(str, range(100)))
    async with listener_on(broker, parsers=parsed_by(parse, int)) as listener:
        assert await take_last(await listener.subscribe(int), 100) == list(range(100))


async def test_a_partition_revoked_while_it_is_parsed_is_delivered_by_its_next_owner() -> None:
    broker, gate = broker_with("0", "1"), Gate()

    async def parse(record: Any) -> int:
        await gate(record)
        return int(record.value)

    async with listener_on(broker, parsers=parsed_by(parse, int)) as listener:
        stream = await listener.subscribe(int)
        await until(lambda: gate.arrived)
        broker.rebalance(GROUP)
        await until(lambda: listener.status().counters.rebalances == 2)
        gate.open()
        assert await take_last(stream, 2) == [0, 1]
        assert listener.status().counters.late_finishes == 0
    assert broker.committed(GROUP, P0) == 2


async def test_gaps_in_the_offsets_are_no_matter() -> None:
    broker = MemoryBroker({TOPIC: 1})
    for value in "abc":
        broker.skip_offsets(TopicPartition(TOPIC, 0), 3)
        broker.produce(TOPIC, value.encode())
    async with listener_on(broker, parsers=parsed_by(parse_text, str)) as listener:
        stream = await listener.subscribe(str)
        for value, committed in (("a", 4), ("b", 8), ("c", 12)):
            assert await take_last(stream, 1) == [value]
            await listener.commit()
            assert broker.committed(GROUP, P0) in (committed, committed + 3)
