"""Records that do not parse, and what `on_parse_error` makes of them."""

import logging
from typing import Any

import anyio
import pytest

from sdml_kafka import ConfigurationError, DeadLetter, ParseFailed, Record, parse_text
from sdml_kafka.parsing.codec_notes import reads_value
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    TOPIC,
    broker_with,
    listener_on,
    parsed_by,
    take_last,
)
from tests.support.processing_on_twin import processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


def parse_number(record: Any) -> int:
    return int(record.value)


async def parse_number_async(record: Any) -> int:
    await anyio.lowlevel.checkpoint()
    return int(record.value)


def parse_value(record: Any) -> int:
    return int(record.value)


reads_value(parse_value, int)

both_kinds = pytest.mark.parametrize("parser", [parse_number, parse_number_async])
all_kinds = pytest.mark.parametrize("parser", [parse_number, parse_number_async, parse_value])


@pytest.mark.parametrize("is_alone", [True, False])
async def test_a_parser_that_raises_stop_iteration(is_alone: bool) -> None:
    def first_header(record: Any) -> str:
        return str(next(name for name, _ in record.headers))

    broker = broker_with("0", "1")
    broker.produce(TOPIC, b"2", headers=[("own", b"")])
    parsers = parsed_by(first_header, str)
    if not is_alone:
        parsers += parsed_by(lambda record: record.value, bytes)
    async with listener_on(broker, parsers=parsers) as listener:
        stream, others = await listener.subscribe(str), None
        if not is_alone:
            others = await listener.subscribe(bytes)
        assert await take_last(stream, 1) == ["own"]
        if others is not None:
            assert await take_last(others, 3) == [b"0", b"1", b"2"]
        await until(lambda: listener.status().counters.finished == 3)
        assert listener.status().counters.parse_errors == 2


@both_kinds
async def test_what_does_not_parse_is_skipped_logged_counted_and_finished(
    parser: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_with("0", "oops", "2", "oops")
    async with listener_on(broker, parsers=parsed_by(parser, int)) as listener:
        with caplog.at_level(logging.WARNING):
            assert await take_last(await listener.subscribe(int), 2) == [0, 2]
        await until(lambda: listener.status().counters.finished == 4)
        assert listener.status().counters.parse_errors == 2
        assert listener.status().partitions[P0].in_flight == 0
    assert broker.committed(GROUP, P0) == 4
    lines = [line for line in caplog.messages if "skipped" in line]
    assert len(lines) == 2
    assert all(part in lines[0] for part in (repr(TOPIC), "partition 0", "offset 1", "ValueError"))


@all_kinds
async def test_raise_stops_the_listener_and_says_which_record(parser: Any) -> None:
    broker = broker_with("0", "oops", "2")
    with pytest.raises(ParseFailed, match=r"'topic' partition 0 offset 1.*int.*ValueError") as it:
        async with listener_on(
            broker, parsers=parsed_by(parser, int), on_parse_error="raise", max_in_flight=1
        ) as listener:
            async for _ in await listener.subscribe(int):
                pass
    assert isinstance(it.value.__cause__, ValueError)
    assert broker.committed(GROUP, P0) == 1


@all_kinds
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_callable_gets_the_record_and_the_error_and_the_record_is_finished(
    parser: Any, is_async: bool
) -> None:
    broker = broker_with("0", "oops", "2")
    handled: list[tuple[int, str]] = []

    def handle(record: Record, error: Exception) -> None:
        handled.append((record.offset, type(error).__name__))

    async def handle_async(record: Record, error: Exception) -> None:
        await anyio.sleep(1)
        handle(record, error)

    handler = handle_async if is_async else handle
    async with listener_on(
        broker, parsers=parsed_by(parser, int), on_parse_error=handler
    ) as listener:
        assert await take_last(await listener.subscribe(int), 2) == [0, 2]
        assert handled == [(1, "ValueError")]
        assert listener.status().counters.parse_errors == 1
    assert broker.committed(GROUP, P0) == 3


@all_kinds
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
        async with listener_on(
            broker, parsers=parsed_by(parser, int), on_parse_error=handler
        ) as listener:
            async for _ in await listener.subscribe(int):
                pass
    assert caught.value is boom
    assert broker.committed(GROUP, P0) == 0


async def test_a_parser_that_returns_another_type_has_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = broker_with("a", "b")
    parsers = parsed_by(lambda record: 7 if record.value == b"a" else "b", str)
    async with listener_on(broker, parsers=parsers) as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["b"]
        assert listener.status().counters.parse_errors == 1
    assert "the parser returned int, its spec says str" in caplog.text


async def test_a_parser_that_returns_none_or_the_record_itself_has_failed() -> None:
    broker = broker_with("a", "b", "c")

    def parse(record: Any) -> Any:
        return {b"a": None, b"b": record}.get(record.value, "c")

    async with listener_on(broker, parsers=parsed_by(parse, str)) as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["c"]
        assert listener.status().counters.parse_errors == 2


async def test_a_record_that_one_spec_cannot_parse_still_goes_to_the_others() -> None:
    broker = broker_with("1", "x", "3")
    parsers = [*parsed_by(parse_number, int), *parsed_by(parse_text, str)]
    async with listener_on(broker, parsers=parsers) as listener:
        numbers, texts = await listener.subscribe(int), await listener.subscribe(str)
        assert await take_last(numbers, 2) == [1, 3]
        await listener.commit()
        assert broker.committed(GROUP, P0) == 0
        assert await take_last(texts, 3) == ["1", "x", "3"]
    assert broker.committed(GROUP, P0) == 3


async def test_a_plain_function_may_return_an_awaitable() -> None:
    broker = broker_with("0", "oops", "2")
    async with listener_on(
        broker, parsers=parsed_by(lambda record: parse_number_async(record), int)
    ) as listener:
        assert await take_last(await listener.subscribe(int), 2) == [0, 2]
        assert listener.status().counters.parse_errors == 1


async def test_an_error_that_cannot_even_be_shown_is_skipped_like_any_other() -> None:
    class Unshowable(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    def parse(record: Any) -> int:
        if record.value == b"oops":
            raise Unshowable
        return int(record.value)

    broker = broker_with("0", "oops", "2")
    async with listener_on(broker, parsers=parsed_by(parse, int)) as listener:
        assert await take_last(await listener.subscribe(int), 2) == [0, 2]
        assert listener.status().counters.parse_errors == 1
        assert listener.status().counters.restarts == 0


def cannot_work(record: Any) -> int:
    raise ConfigurationError("its library is not installed")


async def cannot_work_async(record: Any) -> int:
    return cannot_work(record)


def value_that_cannot_work(record: Any) -> int:
    return cannot_work(record)


reads_value(value_that_cannot_work, cannot_work)


@pytest.mark.parametrize("parser", [cannot_work, cannot_work_async, value_that_cannot_work])
@pytest.mark.parametrize("policy", ["skip", lambda record, error: None, DeadLetter("letters")])
async def test_a_parser_that_cannot_work_stops_the_listener_whatever_the_policy(
    parser: Any, policy: Any
) -> None:
    broker = broker_with("0", "1")
    broker.create_topic("letters")
    where = r"The parser of int cannot work \('topic' partition 0 offset 0\).*not installed"
    with pytest.raises(ConfigurationError, match=where) as it:
        async with processing_on(
            broker, parsers=parsed_by(parser, int), on_parse_error=policy
        ) as listener:
            async for _ in await listener.subscribe(int):
                raise AssertionError("delivered")
    assert isinstance(it.value.__cause__, ConfigurationError)
    assert listener.status().counters.parse_errors == 0
    assert not broker.committed(GROUP, P0)


async def test_a_callable_may_return_anything() -> None:
    broker, seen = broker_with("x", "2"), set[int]()

    def count(record: Record, error: Exception) -> Any:
        return len(seen | {record.offset})

    async with listener_on(
        broker, parsers=parsed_by(parse_number, int), on_parse_error=count
    ) as listener:
        assert await take_last(await listener.subscribe(int), 1) == [2]
    assert broker.committed(GROUP, P0) == 2
