"""Streams for NestJS: the last value carries the end, where that can be known in time."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import Call, RemoteError
from sdml_kafka.rpc.server.replying.replies import MAX_STREAM_AHEAD
from sdml_kafka.testing import MemoryBroker
from tests.support.client_by_hand import REQUEST, cancel, finished, new_broker, serving
from tests.support.headers import header
from tests.support.nest_peer import NestRequester
from tests.support.spring_peer import SpringRequester
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


def broker_of_all() -> MemoryBroker:
    return new_broker(answers=2, **{f"{REQUEST}.reply": 2})


async def seen_of(handler: Callable[..., Any], value: bytes = b"3", **options: Any) -> list[Any]:
    """Return what an `Observable` of NestJS does that asks this handler."""
    broker = broker_of_all()
    nest = NestRequester(broker)
    async with serving(broker, handler, **options):
        id_ = nest.send(REQUEST, value)
        await until(lambda: nest.has_ended(REQUEST, id_))
    return nest.seen(REQUEST, id_)


async def at_once(value: bytes, call: Call) -> AsyncGenerator[bytes]:
    for number in range(int(value)):
        yield b"%d" % number


async def with_waits_before(value: bytes, call: Call) -> AsyncGenerator[bytes]:
    for number in range(int(value)):
        await anyio.sleep(1)
        yield b"%d" % number


async def with_a_wait_at_the_end(value: bytes, call: Call) -> AsyncGenerator[bytes]:
    for number in range(int(value)):
        yield b"%d" % number
    await anyio.sleep(1)


@pytest.mark.uvloop_too
@pytest.mark.parametrize("handler", [at_once, with_waits_before])
async def test_the_last_value_carries_the_end(handler: Callable[..., Any]) -> None:
    assert await seen_of(handler) == [b"0", b"1", b"2", "complete"]


@pytest.mark.uvloop_too
async def test_an_end_that_is_not_known_in_time_is_a_null_of_its_own() -> None:
    assert await seen_of(with_a_wait_at_the_end) == [b"0", b"1", b"2", None, "complete"]


@pytest.mark.parametrize("handler", [at_once, with_a_wait_at_the_end])
async def test_a_stream_without_values_is_one_null(handler: Callable[..., Any]) -> None:
    assert await seen_of(handler, b"0") == [None, "complete"]


async def test_a_value_goes_out_before_the_wait_for_the_next_one() -> None:
    broker, go_on = broker_of_all(), anyio.Event()
    nest = NestRequester(broker)

    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"first"
        await go_on.wait()
        yield b"second"

    async with serving(broker, handle):
        id_ = nest.send(REQUEST)
        await until(lambda: nest.seen(REQUEST, id_) == [b"first"])
        go_on.set()
        await until(lambda: nest.has_ended(REQUEST, id_))
    assert nest.seen(REQUEST, id_) == [b"first", b"second", "complete"]


@pytest.mark.parametrize("waits", [False, True])
async def test_the_values_before_an_error_come_first(waits: bool) -> None:
    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"0"
        yield b"1"
        if waits:
            await anyio.sleep(1)
        raise RemoteError("gone", "no more")

    error = {"status": "gone", "message": "no more"}
    assert await seen_of(handle) == [b"0", b"1", ("error", error)]


async def test_a_value_that_cannot_be_sent_ends_the_stream_with_an_error() -> None:
    async def handle(value: bytes, call: Call) -> AsyncGenerator[Any]:
        yield b"0"
        yield 1

    error = {"status": "internal", "message": ""}
    assert await seen_of(handle) == [b"0", ("error", error)]


async def test_a_deadline_ends_a_stream_with_an_error() -> None:
    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"0"
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    ended = list[bool]()
    value, (_, error) = await seen_of(handle, default_timeout=1.0)
    assert (value, error["status"], ended) == (b"0", "deadline_exceeded", [True])


async def test_what_a_wait_of_the_generator_raises_comes_to_it() -> None:
    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"0"
        with anyio.move_on_after(1):
            await anyio.sleep_forever()
        try:
            with anyio.fail_after(1):
                await anyio.sleep_forever()
        except TimeoutError:
            yield b"late"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 1)
        yield b"last"

    assert await seen_of(handle) == [b"0", b"late", b"last", "complete"]


async def test_a_fast_stream_is_bounded_by_what_the_broker_has_acknowledged() -> None:
    count = 3 * MAX_STREAM_AHEAD
    seen = await seen_of(at_once, b"%d" % count)
    assert seen == [*(b"%d" % number for number in range(count)), "complete"]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_stream_that_lacks_a_value_ends_with_an_error_alone(waits: bool) -> None:
    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"x" * 5000
        yield b"1"
        if waits:
            await anyio.lowlevel.checkpoint()

    topics = {REQUEST: 1, f"{REQUEST}.reply": 2}
    broker = MemoryBroker(topics, max_record_bytes=3000)
    nest = NestRequester(broker)
    async with serving(broker, handle) as server:
        id_ = nest.send(REQUEST)
        await finished(broker, server, 1)
    *_, (kind, error) = nest.seen(REQUEST, id_)
    assert (kind, error["status"]) == ("error", "internal")
    assert [header(each, "kafka_nest-is-disposed") for each in nest.records(REQUEST)].count(
        b"\x00"
    ) == 1


@pytest.mark.parametrize("waits", [False, True])
async def test_a_value_has_the_headers_of_when_it_was_made(waits: bool) -> None:
    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"none"
        for name in ("a", "b"):
            call.reply_headers["__TypeId__"] = name
            yield name.encode()
            if waits:
                await anyio.sleep(1)
        call.reply_headers["__TypeId__"] = "after"

    broker = broker_of_all()
    nest = NestRequester(broker)
    async with serving(broker, handle):
        id_ = nest.send(REQUEST)
        await until(lambda: nest.has_ended(REQUEST, id_))
    types = {record.value: header(record, "__TypeId__") for record in nest.records(REQUEST)}
    assert (types[b"none"], types[b"a"], types[b"b"]) == (None, b"a", b"b")


@pytest.mark.parametrize("waits", [False, True])
async def test_no_cancel_record_ends_a_stream_that_has_the_same_id(waits: bool) -> None:
    """NestJS has no time-out: its caller would wait for ever."""

    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"0"
        await anyio.sleep(1)
        yield b"1"

    broker = broker_of_all()
    nest = NestRequester(broker)
    async with serving(broker, handle, concurrency=1) as server:
        if waits:
            nest.send(REQUEST)
        id_ = nest.send(REQUEST)
        await until(lambda: nest.records(REQUEST))
        cancel(broker, id_.encode())
        await finished(broker, server, 3 if waits else 2)
    assert nest.seen(REQUEST, id_) == [b"0", b"1", "complete"]


async def test_spring_takes_the_first_value_of_a_stream() -> None:
    """It drops the others."""
    broker = broker_of_all()
    spring = SpringRequester(broker)
    async with serving(broker, at_once):
        id_ = spring.send(REQUEST, b"3", pinned=1, key=b"key")
        await until(lambda: len(spring.records()) == 3)
    assert spring.outcome(id_) == b"0"
    assert {record.key for record in spring.records()} == {b"key"}
    assert [header(record, "kafka_nest-is-disposed") for record in spring.records()] == [
        None,
        None,
        b"\x00",
    ]
