"""An async generator answers with a stream."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, Dedupe, RemoteError, TopicPartition
from sdml_kafka.testing.memory.log import MemoryRecord
from tests.support.client_by_hand import (
    GROUP,
    P0,
    REPLY,
    REQUEST,
    ask,
    cancel,
    finished,
    new_broker,
    no_replies,
    outcome,
    outcomes,
    replies,
    reply,
    serving,
)
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]

REPLIES = TopicPartition(REPLY, 0)


async def count(value: bytes, call: Call) -> AsyncGenerator[bytes]:
    for number in range(int(value)):
        yield b"%d" % number


class Endless:
    """A handler that counts up, a number a second, until it is stopped."""

    def __init__(self) -> None:
        self.running = 0
        self.yielded = 0

    async def __call__(self, value: bytes, call: Call) -> AsyncGenerator[bytes]:
        self.running += 1
        try:
            while True:
                self.yielded += 1
                yield value
                await anyio.sleep(1)
        finally:
            self.running -= 1


def sequence(record: MemoryRecord) -> int | None:
    number = header(record, "x-sequence")
    return None if number is None else int(number)


async def test_numbered_replies_and_an_end() -> None:
    broker = new_broker()
    async with serving(broker, count) as server:
        ask(broker, b"3", b"id")
        records = await replies(broker, 4)
        assert [record.value for record in records] == [b"0", b"1", b"2", b""]
        assert [sequence(record) for record in records] == [0, 1, 2, 3]
        assert [header(record, "x-end") for record in records] == [None, None, None, b"1"]
        assert {header(record, "request_id") for record in records} == {b"id"}
        assert {header(record, "x-status") for record in records} == {b"ok"}
        assert {header(record, "x-cancel-partition") for record in records} == {b"0"}
        await until(lambda: server.status().in_flight == 0)
        assert server.status().counters.replies == 4


async def test_a_stream_of_nothing() -> None:
    broker = new_broker()
    async with serving(broker, count):
        ask(broker, b"0")
        record = await reply(broker)
        assert (sequence(record), header(record, "x-end")) == (0, b"1")


async def test_an_error_ends_it() -> None:
    broker = new_broker()

    async def fail(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"first"
        raise RemoteError("not_found", "no more")

    async with serving(broker, fail):
        ask(broker)
        first, end = await replies(broker, 2)
        assert outcome(first) == b"first"
        assert (outcome(end), sequence(end), header(end, "x-end")) == (b"not_found", 1, b"1")


async def test_items_are_serialized_or_end_it() -> None:
    broker = new_broker()

    async def mixed(value: bytes, call: Call) -> AsyncGenerator[Any]:
        yield None
        yield {"a": 1}
        raise AssertionError("goes on")

    async with serving(broker, mixed):
        ask(broker)
        assert await outcomes(broker, 2) == [b"", b"internal"]


@pytest.mark.parametrize("key", [None, b"key"])
async def test_all_of_a_stream_go_to_one_partition(key: bytes | None) -> None:
    broker = new_broker(wide=8)
    async with serving(broker, count):
        ask(broker, b"20", reply_to=["wide"], key=key)
        await until(lambda: sum(not no_replies(broker, "wide", n) for n in range(8)) == 1)
        (partition,) = (n for n in range(8) if not no_replies(broker, "wide", n))
        await replies(broker, 21, "wide", partition)


async def test_to_the_partition_that_was_asked_for() -> None:
    broker = new_broker(wide=8)
    async with serving(broker, count):
        ask(broker, b"5", reply_to=["wide"], headers=[("x-reply-partition", b"6")])
        await replies(broker, 6, "wide", 6)


async def test_a_generator_does_not_run_ahead() -> None:
    broker, yielded = new_broker(), 0

    async def many(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        nonlocal yielded
        for number in range(1000):
            yielded += 1
            yield b"%d" % number

    async with serving(broker, many):
        broker.hold_sends()
        ask(broker)
        await anyio.sleep(5)
        assert yielded == 100
        broker.release_sends()
        assert [sequence(record) for record in await replies(broker, 1001)] == list(range(1001))


async def test_the_deadline_ends_it() -> None:
    broker, endless = new_broker(), Endless()
    async with serving(broker, endless):
        ask(broker, timeout_ms=2500)
        records = await replies(broker, 4)
        assert [outcome(record) for record in records] == [b"value"] * 3 + [b"deadline_exceeded"]
        assert header(records[-1], "x-end") == b"1"
        assert endless.running == 0


async def test_a_cancel_record_stops_it() -> None:
    broker, endless = new_broker(), Endless()
    async with serving(broker, endless) as server:
        ask(broker, b"a", b"id-a")
        ask(broker, b"b", b"id-b")
        await until(lambda: endless.running == 2)
        cancel(broker, b"id-a")
        await until(lambda: endless.running == 1)
        await anyio.sleep(1.5)
        ends = [r for r in broker.records(REPLIES) if header(r, "x-end")]
        assert ends == []  # its client is gone
        last = broker.records(REPLIES)[-1]
        assert last.value == b"b"
        cancel(broker, b"id-b")
        await finished(broker, server, 4)
        counters = server.status().counters
        assert (counters.cancelled, counters.unknown_cancels, counters.requests) == (2, 0, 2)


async def test_a_cancel_record_has_the_id_that_the_program_finds() -> None:
    broker, endless = new_broker(), Endless()
    own_id = ("own-id", b"7")
    async with serving(
        broker, endless, correlation_from_record=lambda record: header(record, "own-id")
    ) as server:
        ask(broker, b"a", None, headers=[own_id])
        await until(lambda: endless.running == 1)
        cancel(broker, b"7")  # of another stream, as far as the program knows
        await anyio.sleep(2)
        assert endless.running == 1
        broker.produce(REQUEST, b"", headers=[own_id, ("x-cancel", b"1")], partition=0)
        await until(lambda: endless.running == 0)
        await finished(broker, server, 3)
        assert server.status().counters.cancelled == 1


async def test_a_cancel_record_passes_the_requests_that_wait() -> None:
    broker, endless = new_broker(), Endless()
    async with serving(broker, endless, concurrency=1) as server:
        ask(broker, b"a", b"id-a")
        for number in range(200):
            ask(broker, b"0", f"waits-{number}", timeout_ms=1000)
        ask(broker, b"never", b"id-never")
        await until(lambda: endless.running == 1)
        cancel(broker, b"id-never")
        cancel(broker, b"id-a")
        await until(lambda: server.status().counters.cancelled == 2)
        await until(lambda: server.status().in_flight == 0)
        assert b"never" not in {record.value for record in broker.records(REPLIES)}
        assert server.status().counters.unknown_cancels == 0


async def test_cancel_records_about_nothing() -> None:
    broker = new_broker()
    async with serving(broker, count) as server:
        cancel(broker, b"never was")
        ask(broker, b"1", b"id")
        await replies(broker, 2)
        cancel(broker, b"id")
        await finished(broker, server, 3)
        assert server.status().counters.unknown_cancels == 2
        ask(broker, b"1", b"never was")
        assert await outcomes(broker, 4) == [b"0", b"", b"0", b""]


async def test_an_item_that_is_too_large_ends_it() -> None:
    broker, closed = new_broker(), anyio.Event()

    async def grow(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        try:
            yield b"small"
            yield b"x" * (2 << 20)
            await anyio.sleep_forever()
        finally:
            closed.set()

    async with serving(broker, grow) as server:
        ask(broker)
        small, end = await replies(broker, 2)
        assert outcome(small) == b"small"
        assert (outcome(end), header(end, "x-end")) == (b"internal", b"1")
        await closed.wait()
        await finished(broker, server, 1)
        ask(broker)
        await replies(broker, 4)


async def test_a_stream_one_way() -> None:
    broker = new_broker()
    async with serving(broker, count) as server:
        ask(broker, b"500", reply_to=[])
        await finished(broker, server, 1)


async def test_to_several_topics() -> None:
    broker = new_broker(second=1)
    async with serving(broker, count):
        ask(broker, b"200", reply_to=[REPLY, "second"])
        await replies(broker, 201)
        await replies(broker, 201, "second")


async def test_streams_are_not_deduplicated() -> None:
    broker = new_broker()
    async with serving(broker, count, dedupe=Dedupe()):
        ask(broker, b"1")
        ask(broker, b"1")
        await replies(broker, 4)


async def test_leaving_while_it_waits_for_room() -> None:
    broker = new_broker()
    async with serving(broker, count, drain_timeout=0.5):
        broker.hold_sends()
        ask(broker, b"1000")
        await anyio.sleep(1)
    assert broker.committed(GROUP, P0) in (0, None)
