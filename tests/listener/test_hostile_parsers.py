"""Parsers that raise what no parser should, and programs that keep the errors of parsers."""

import gc
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import Record
from tests.support.listener_on_twin import GROUP, P0, broker_with, listener_on, parsed_by
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


def parse_number(record: Any) -> int:
    return int(record.value)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_a_record_whose_parser_is_interrupted_comes_again(
    kind: type[BaseException],
) -> None:
    broker = broker_with("0")
    interrupts = [kind("stop")]

    def parse(record: Record) -> int:
        if record.offset == 2 and interrupts:
            raise interrupts.pop()
        return parse_number(record)

    async with listener_on(broker, parsers=parsed_by(parse, int)) as listener:
        stream = await listener.subscribe(int)
        assert await anext(stream) == 0  # from now on records are parsed as they are handed out
        for value in (b"1", b"2", b"3"):
            broker.produce("topic", value, partition=0)
        assert await anext(stream) == 1
        with pytest.raises(kind):
            await anext(stream)
        await listener.commit()
        assert broker.committed(GROUP, P0) == 2
        with anyio.fail_after(10):
            assert [await anext(stream), await anext(stream)] == [2, 3]


def parse_lazily(record: Any) -> Any:
    return parse_number_async(record) if record.offset == 1 else int(record.value)


async def parse_number_async(record: Any) -> int:
    await anyio.lowlevel.checkpoint()
    return int(record.value)


@pytest.mark.parametrize("parser", [parse_number, parse_lazily])
async def test_a_program_that_keeps_errors_gets_the_record_of_a_broken_loop_again(
    parser: Any,
) -> None:
    broker = broker_with("0")
    errors: list[Exception] = []

    async with listener_on(
        broker,
        parsers=parsed_by(parser, int),
        on_parse_error=lambda record, error: errors.append(error),
    ) as listener:
        stream = await listener.subscribe(int)
        assert await anext(stream) == 0  # from now on records are parsed as they are handed out
        for value in (b"oops", b"2", b"3"):
            broker.produce("topic", value, partition=0)
        async for number in stream:
            if number == 2:
                break
        assert [type(error) for error in errors] == [ValueError]
        with anyio.fail_after(10):
            assert await anext(aiter(stream)) == 2


async def test_a_program_that_keeps_errors_still_closes_the_streams_that_it_drops() -> None:
    broker = broker_with("0")
    errors: list[Exception] = []

    async with listener_on(
        broker,
        parsers=parsed_by(parse_number, int),
        on_parse_error=lambda record, error: errors.append(error),
    ) as listener:
        fresh = await listener.subscribe(int, fresh=True)
        assert await anext(fresh) == 0
        for value in (b"oops", b"2", b"3"):
            broker.produce("topic", value, partition=0)
        assert await anext(fresh) == 2
        del fresh
        gc.collect()  # a stream that was pulled by hand is part of a circle
        stream = await listener.subscribe(int)
        with anyio.fail_after(10):
            assert await anext(stream) == 2
        assert len(errors) == 1
