"""Records that a parser says are not for it: `SKIP`, returned or raised."""

import logging
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import SKIP, ParserSpec, Record, Skip
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    broker_with,
    listener_on,
    loops,
    parsed_by,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


def numbers_returned(record: Record) -> int | Skip:
    return int(record.value or b"") if (record.value or b"").isdigit() else SKIP


def numbers_raised(record: Record) -> int:
    try:
        return int(record.value or b"")
    except ValueError as error:
        raise SKIP from error


async def numbers_returned_later(record: Record) -> int | Skip:
    await anyio.lowlevel.checkpoint()
    return numbers_returned(record)


async def numbers_raised_later(record: Record) -> int:
    await anyio.lowlevel.checkpoint()
    return numbers_raised(record)


def words(record: Record) -> str | Skip:
    text = (record.value or b"").decode()
    return SKIP if text.isdigit() else text


async def words_later(record: Record) -> str | Skip:
    await anyio.sleep(0.001)
    return words(record)


PARSERS = [
    numbers_returned,
    numbers_raised,
    numbers_returned_later,
    numbers_raised_later,
    lambda record: numbers_returned_later(record),  # a plain function with an awaitable
    lambda record: numbers_raised_later(record),
]
each_way = pytest.mark.parametrize("parser", PARSERS)


def refuse(record: Record, error: Exception) -> None:
    raise AssertionError(f"{record} is no parse error: {error!r}")


@each_way
@pytest.mark.parametrize("on_parse_error", ["skip", "raise", refuse])
async def test_a_record_that_is_not_for_the_parser_is_finished_without_a_word(
    parser: Any, on_parse_error: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_with("a", "1", "2", "b")
    async with listener_on(
        broker, parsers=parsed_by(parser, int), on_parse_error=on_parse_error
    ) as listener:
        with caplog.at_level(logging.DEBUG, "sdml_kafka.listener"):
            assert await take_last(await listener.subscribe(int), 2) == [1, 2]
            await until(lambda: listener.status().counters.finished == 4)
        assert listener.status().counters.parse_errors == 0
        assert listener.status().partitions[P0].in_flight == 0
    assert broker.committed(GROUP, P0) == 4
    assert caplog.messages == []


@each_way
@pytest.mark.parametrize("word_parser", [words, words_later])
async def test_types_that_share_a_topic_get_each_their_own(parser: Any, word_parser: Any) -> None:
    broker = broker_with("a", "1", "b", "c", "2", "d")
    parsers = [*parsed_by(parser, int), *parsed_by(word_parser, str)]
    async with listener_on(broker, parsers=parsers, on_parse_error="raise") as listener:
        numbers, texts = await listener.subscribe(int), await listener.subscribe(str)
        assert await take_last(numbers, 2) == [1, 2]
        await listener.commit()
        assert broker.committed(GROUP, P0) is None or broker.committed(GROUP, P0) == 0
        assert await take_last(texts, 4) == ["a", "b", "c", "d"]
        assert listener.status().counters.parse_errors == 0
    assert broker.committed(GROUP, P0) == 6


@each_way
async def test_records_of_other_types_hold_up_no_stream(parser: Any) -> None:
    broker = broker_with(*["other"] * 3000, "1")
    async with listener_on(broker, parsers=parsed_by(parser, int), max_in_flight=10) as listener:
        stream = await listener.subscribe(int, queue_maxsize=3)
        async with loops(stream) as (loop,):
            await loop.has_seen(1)
            await until(lambda: listener.status().counters.finished >= 3000)


@pytest.mark.parametrize("hint", [Any, object, int | Skip])
async def test_a_spec_that_takes_any_type_does_not_hand_the_mark_out(hint: Any) -> None:
    broker = broker_with("a", "1")
    async with listener_on(broker, parsers=parsed_by(numbers_returned, hint)) as listener:
        assert await take_last(await listener.subscribe(hint), 1) == [1]
    assert broker.committed(GROUP, P0) == 2


async def test_nothing_is_kept_of_a_raise() -> None:
    broker = broker_with(*["a"] * 100, "1")
    async with listener_on(broker, parsers=parsed_by(numbers_raised, int)) as listener:
        assert await take_last(await listener.subscribe(int), 1) == [1]
    assert (SKIP.__traceback__, SKIP.__context__, SKIP.__cause__) == (None, None, None)


async def test_what_else_the_parser_raises_is_a_parse_error_still() -> None:
    def parse(record: Record) -> int | Skip:
        return SKIP if record.value == b"a" else int(record.value or b"")

    broker = broker_with("a", "oops", "1")
    async with listener_on(broker, parsers=parsed_by(parse, int)) as listener:
        assert await take_last(await listener.subscribe(int), 1) == [1]
        assert listener.status().counters.parse_errors == 1


def specs_are_typed() -> list[ParserSpec[Any]]:
    """Show to the type checkers what a parser may return."""
    number: ParserSpec[int] = {"topics": ["t"], "type": int, "parser": numbers_returned}
    later: ParserSpec[int] = {"topics": ["t"], "type": int, "parser": numbers_returned_later}
    return [number, later]


async def test_a_skip_without_a_reason_has_a_text() -> None:
    assert (str(Skip()), str(Skip("no order"))) == ("the record is left out", "no order")
