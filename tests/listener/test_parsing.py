"""Parsers that fail, that are slow, that return something else."""

import logging
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    ParseFailed,
    ParserSpec,
    Record,
    TopicPartition,
    parse_bytes,
    parse_json,
    parse_text,
)
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
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


def parse_number(record: Any) -> int:
    return int(record.value)


async def parse_number_async(record: Any) -> int:
    await anyio.lowlevel.checkpoint()
    return int(record.value)


def specs(parser: Any, type_: Any = int, topic: str = TOPIC) -> list[ParserSpec[Any]]:
    return [{"topics": [topic], "type": type_, "parser": parser}]


both_kinds = pytest.mark.parametrize("parser", [parse_number, parse_number_async])


@both_kinds
async def test_what_does_not_parse_is_skipped_logged_counted_and_finished(
    parser: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_with("0", "oops", "2", "oops")
    async with listener_on(broker, parsers=specs(parser)) as listener:
        with caplog.at_level(logging.WARNING):
            assert await take_last(await listener.subscribe(int), 2) == [0, 2]
        await until(lambda: listener.status().counters.finished == 4)
        assert listener.status().counters.parse_errors == 2
        assert listener.status().partitions[P0].in_flight == 0
    assert broker.committed(GROUP, P0) == 4
    lines = [line for line in caplog.messages if "skipped" in line]
    assert len(lines) == 2
    assert all(part in lines[0] for part in (repr(TOPIC), "partition 0", "offset 1", "ValueError"))


@both_kinds
async def test_raise_stops_the_listener_and_says_which_record(parser: Any) -> None:
    broker = broker_with("0", "oops", "2")
    with pytest.raises(ParseFailed, match=r"'topic' partition 0 offset 1.*int.*ValueError") as it:
        async with listener_on(
            broker, parsers=specs(parser), on_parse_error="raise", max_in_flight=1
        ) as listener:
            async for _ in await listener.subscribe(int):
                pass
    assert isinstance(it.value.__cause__, ValueError)
    assert broker.committed(GROUP, P0) == 1


@both_kinds
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_callable_gets_the_record_and_the_error_and_the_record_is_finished(
    parser: Any, is_async: bool
) -> None:
    broker = broker_with("0", "oops", "2")
    told: list[tuple[int, str]] = []

    def handle(record: Record, error: Exception) -> None:
        told.append((record.offset, type(error).__name__))

    async def handle_async(record: Record, error: Exception) -> None:
        await anyio.sleep(1)
        handle(record, error)

    handler = handle_async if is_async else handle
    async with listener_on(broker, parsers=specs(parser), on_parse_error=handler) as listener:
        assert await take_last(await listener.subscribe(int), 2) == [0, 2]
        assert told == [(1, "ValueError")]
        assert listener.status().counters.parse_errors == 1
    assert broker.committed(GROUP, P0) == 3


@both_kinds
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_callable_that_raises_stops_the_listener_with_its_error(
    parser: Any, is_async: bool
) -> None:
    broker, boom = broker_with("oops", "1"), KeyError("boom")

    def handle(record: Record, error: Exception) -> None:
        raise boom

    async def handle_async(record: Record, error: Exception) -> None:
        raise boom

    handler = handle_async if is_async else handle
    with pytest.raises(KeyError) as caught:
        async with listener_on(broker, parsers=specs(parser), on_parse_error=handler) as listener:
            async for _ in await listener.subscribe(int):
                pass
    assert caught.value is boom
    assert broker.committed(GROUP, P0) == 0


async def test_a_parser_that_returns_another_type_has_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = broker_with("a", "b")
    parsers = specs(lambda record: 7 if record.value == b"a" else "b", str)
    async with listener_on(broker, parsers=parsers) as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["b"]
        assert listener.status().counters.parse_errors == 1
    assert "the parser returned int, its spec says str" in caplog.text


async def test_a_parser_that_returns_none_or_the_record_itself_has_failed() -> None:
    broker = broker_with("a", "b", "c")

    def parse(record: Any) -> Any:
        return {b"a": None, b"b": record}.get(record.value, "c")

    async with listener_on(broker, parsers=specs(parse, str)) as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["c"]
        assert listener.status().counters.parse_errors == 2


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
    async with listener_on(broker, parsers=specs(lambda _: value, hint)) as listener:
        assert await take_last(await listener.subscribe(hint), 1) == [value]
        assert listener.status().counters.parse_errors == 0


async def test_a_subclass_is_of_the_type_too() -> None:
    class Order(dict[str, int]):
        pass

    broker = broker_with("x")
    async with listener_on(broker, parsers=specs(lambda _: Order(a=1), dict)) as listener:
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


async def test_a_record_that_one_spec_cannot_parse_still_goes_to_the_others() -> None:
    broker = broker_with("1", "x", "3")
    parsers = [*specs(parse_number), *specs(parse_text, str)]
    async with listener_on(broker, parsers=parsers) as listener:
        numbers, texts = await listener.subscribe(int), await listener.subscribe(str)
        assert await take_last(numbers, 2) == [1, 3]
        await listener.commit()
        assert broker.committed(GROUP, P0) == 0
        assert await take_last(texts, 3) == ["1", "x", "3"]
    assert broker.committed(GROUP, P0) == 3


async def test_an_async_parser_that_is_slow_on_one_partition_holds_up_no_other() -> None:
    broker = broker_with("slow", partitions=2)
    fill(broker, range(300), partition=1)
    gate = Gate()

    async def parse(record: Any) -> str:
        if record.partition == 0:
            await gate(record)
        return str(record.value.decode())

    async with (
        listener_on(broker, parsers=specs(parse, str)) as listener,
        loops(await listener.subscribe(str)) as (loop,),
    ):
        await loop.has_seen(300)
        assert loop.seen == [str(number) for number in range(300)]
        fill(broker, range(300, 310), partition=1)
        await loop.has_seen(310)
        gate.open()
        await loop.has_seen(311)
    assert loop.seen[-1] == "slow"


async def test_a_plain_function_may_return_an_awaitable() -> None:
    broker = broker_with("0", "oops", "2")
    async with listener_on(
        broker, parsers=specs(lambda record: parse_number_async(record))
    ) as listener:
        assert await take_last(await listener.subscribe(int), 2) == [0, 2]
        assert listener.status().counters.parse_errors == 1


async def test_an_object_with_an_async_call_is_an_async_parser() -> None:
    class Parser:
        async def __call__(self, record: Any) -> int:
            return int(record.value)

    broker = broker_with("0", "oops", "2")
    async with listener_on(broker, parsers=specs(Parser())) as listener:
        assert await take_last(await listener.subscribe(int), 2) == [0, 2]


async def test_records_keep_their_order_through_an_async_parser() -> None:
    async def parse(record: Any) -> int:
        number = int(record.value)
        await anyio.sleep(0.01 * (number % 7))
        return number

    broker = broker_with(*map(str, range(100)))
    async with listener_on(broker, parsers=specs(parse)) as listener:
        assert await take_last(await listener.subscribe(int), 100) == list(range(100))


async def test_a_partition_taken_away_while_it_is_parsed_is_handed_out_by_its_next_owner() -> None:
    broker, gate = broker_with("0", "1"), Gate()

    async def parse(record: Any) -> int:
        await gate(record)
        return int(record.value)

    async with listener_on(broker, parsers=specs(parse)) as listener:
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
    async with listener_on(broker, parsers=specs(parse_text, str)) as listener:
        stream = await listener.subscribe(str)
        for value, committed in (("a", 4), ("b", 8), ("c", 12)):
            assert await take_last(stream, 1) == [value]
            await listener.commit()
            assert broker.committed(GROUP, P0) in (committed, committed + 3)


async def test_an_error_that_cannot_even_be_shown_is_skipped_like_any_other() -> None:
    class Unshowable(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    def parse(record: Any) -> int:
        if record.value == b"oops":
            raise Unshowable
        return int(record.value)

    broker = broker_with("0", "oops", "2")
    async with listener_on(broker, parsers=specs(parse)) as listener:
        assert await take_last(await listener.subscribe(int), 2) == [0, 2]
        assert listener.status().counters.parse_errors == 1
        assert listener.status().counters.restarts == 0
