"""Parsers that read the value alone, for which no record is made."""

from functools import wraps
from typing import Any

import msgspec
import pytest

from sdml_kafka import (
    DocumentInvalid,
    ParserSpec,
    Record,
    parse_bytes,
    parse_json,
    parse_msgspec,
    parse_pydantic,
    parse_text,
)
from sdml_kafka.testing import MemoryBroker
from tests.support.listener_on_twin import (
    TOPIC,
    broker_with,
    listener_on,
    loops,
    parsed_by,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


class Order(msgspec.Struct):
    id: int


@pytest.mark.parametrize(
    ("parser", "type_", "value"),
    [
        (parse_bytes, bytes, b'{"id":1}'),
        (parse_text, str, '{"id":1}'),
        (parse_json, dict, {"id": 1}),
        (parse_msgspec(Order), Order, Order(1)),
        (parse_pydantic(dict[str, int]), dict, {"id": 1}),
    ],
)
async def test_values_and_records_are_handed_out(parser: Any, type_: Any, value: object) -> None:
    broker = broker_with('{"id":1}', '{"id":1}')
    async with listener_on(broker, parsers=parsed_by(parser, type_)) as listener:
        seen = list[tuple[object, bytes | None, int]]()
        async for delivery in (await listener.subscribe(type_)).deliveries():
            async with delivery:
                seen.append((delivery.value, delivery.record.value, delivery.record.offset))
            if len(seen) == 2:
                break
    assert seen == [(value, b'{"id":1}', 0), (value, b'{"id":1}', 1)]


async def test_the_parser_says_what_is_wrong_with_a_value() -> None:
    seen = list[tuple[int, Exception]]()
    broker = broker_with('{"id":1}', '{"id":"x"}', '{"id":3}')
    async with listener_on(
        broker,
        parsers=parsed_by(parse_msgspec(Order), Order),
        on_parse_error=lambda record, error: seen.append((record.offset, error)),
    ) as listener:
        assert await take_last(await listener.subscribe(Order), 2) == [Order(1), Order(3)]
    ((offset, error),) = seen
    assert offset == 1
    assert isinstance(error, DocumentInvalid)
    assert set(error.fields) == {"id"}


async def test_a_tombstone_goes_to_the_parser() -> None:
    broker = MemoryBroker({TOPIC: 1})
    for value in (b"1", None, b"3"):
        broker.produce(TOPIC, value, partition=0)
    async with listener_on(broker, parsers=parsed_by(parse_bytes, bytes)) as listener:
        assert await take_last(await listener.subscribe(bytes), 3) == [b"1", b"", b"3"]
    async with listener_on(
        broker, group="other", parsers=parsed_by(parse_json, int), on_parse_error="skip"
    ) as listener:
        assert await take_last(await listener.subscribe(int), 2) == [1, 3]
        assert listener.status().counters.parse_errors == 1


async def test_a_function_that_wraps_such_a_parser_is_called() -> None:
    @wraps(parse_text)
    def shout(record: Record) -> str:
        return f"{parse_text(record).upper()} {record.offset}"

    async with listener_on(broker_with("a", "b"), parsers=parsed_by(shout, str)) as listener:
        assert await take_last(await listener.subscribe(str), 2) == ["A 0", "B 1"]


async def test_a_value_of_another_type_than_the_spec_says_is_an_error() -> None:
    specs: list[ParserSpec[Any]] = [{"topics": [TOPIC], "type": str, "parser": parse_bytes}]
    async with (
        listener_on(broker_with("a", "b"), parsers=specs) as listener,
        loops(await listener.subscribe(str)) as (loop,),
    ):
        await until(lambda: listener.status().counters.parse_errors == 2)
        assert loop.seen == []
