"""Streams keep their order: in one partition, and when some of their replies are sent again."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, SendFailed, TopicMissing, TopicPartition
from sdml_kafka.rpc.server.replying import replies as replies_module
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.client_by_hand import (
    REPLY,
    REQUEST,
    ask,
    finished,
    new_broker,
    replies,
    serving,
)
from tests.support.headers import header
from tests.support.nest_peer import NestRequester
from tests.support.spring_peer import SpringRequester
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]

ERROR = "error"


def broker_of_all() -> MemoryBroker:
    return new_broker(answers=8, **{f"{REQUEST}.reply": 8})


async def at_once(value: bytes, call: Call) -> AsyncGenerator[bytes]:
    for number in range(int(value)):
        yield b"%d" % number


async def slowly(value: bytes, call: Call) -> AsyncGenerator[bytes]:
    """Yield values faster than one that failed is sent again."""
    for number in range(int(value)):
        yield b"%d" % number
        await anyio.sleep(0.1)


HANDLERS = pytest.mark.parametrize("handler", [at_once, slowly])


# -- the partition -----------------------------------------------------------------------


@pytest.mark.uvloop_too
@HANDLERS
async def test_a_stream_without_partition_and_key_goes_to_one_partition(
    handler: Callable[..., Any],
) -> None:
    broker = broker_of_all()
    spring = SpringRequester(broker, partitions=8)
    async with serving(broker, handler) as server:
        for _ in range(3):
            spring.send(REQUEST, b"20")
        await finished(broker, server, 3)
    by_id = dict[bytes | None, list[bytes | None]]()
    for number in range(8):
        for record in broker.records(TopicPartition("answers", number)):
            if record.value is not None:
                key = header(record, "kafka_correlationId"), number
                by_id.setdefault(b"%s-%d" % key, []).append(record.value)
    assert list(by_id.values()) == [[b"%d" % number for number in range(20)]] * 3


@HANDLERS
async def test_a_partition_that_does_not_exist_spreads_no_stream(
    handler: Callable[..., Any],
) -> None:
    broker = broker_of_all()
    nest = NestRequester(broker, partition=99)
    async with serving(broker, handler) as server:
        nest.send(REQUEST, b"20")
        await finished(broker, server, 1)
    places = (TopicPartition(f"{REQUEST}.reply", number) for number in range(8))
    used = [values for place in places if (values := [r.value for r in broker.records(place)])]
    assert len(used) == 1
    assert used[0][:20] == [b"%d" % number for number in range(20)]


async def test_a_key_decides_where_there_is_one() -> None:
    broker = broker_of_all()
    spring = SpringRequester(broker, partitions=8)
    async with serving(broker, at_once) as server:
        broker.slow_down(send_s=1.0)
        began = anyio.current_time()
        spring.send(REQUEST, b"50", key=b"key")
        await finished(broker, server, 1)
        assert anyio.current_time() - began < 3.5  # nothing waited for the first one's place
    assert {record.key for record in spring.records()} == {b"key"}
    assert [record.value for record in spring.records()] == [b"%d" % n for n in range(50)]


# -- what fails and is sent again --------------------------------------------------------


async def seen_of(
    handler: Callable[..., Any], count: int, *, failing: int, error: Exception | None = None
) -> list[Any]:
    """Return what NestJS sees of a stream whose first sends fail."""
    broker = broker_of_all()
    nest = NestRequester(broker)
    async with serving(broker, handler) as server:
        broker.fail_sends(error or SendFailed("away"), times=failing)
        id_ = nest.send(REQUEST, b"%d" % count)
        await until(lambda: nest.has_ended(REQUEST, id_))
        await finished(broker, server, 1)
    return nest.seen(REQUEST, id_)


@pytest.mark.uvloop_too
@pytest.mark.parametrize("failing", [1, 3])
async def test_what_comes_after_a_value_that_failed_waits_for_that(failing: int) -> None:
    seen = await seen_of(slowly, 8, failing=failing)
    assert seen == [*(b"%d" % number for number in range(8)), None, "complete"]


async def test_values_that_failed_together_are_sent_again_in_order() -> None:
    assert await seen_of(at_once, 5, failing=4) == [*(b"%d" % n for n in range(5)), "complete"]


async def test_a_value_that_others_have_overtaken_ends_the_stream_with_an_error() -> None:
    *values, (kind, error) = await seen_of(at_once, 5, failing=1)
    assert values == [b"1", b"2", b"3"]
    assert (kind, error["status"]) == (ERROR, "internal")
    assert "in its place" in error["message"]


@pytest.mark.parametrize("handler", [at_once, slowly])
async def test_a_value_that_cannot_be_sent_for_another_reason_is_not_left_out(
    handler: Callable[..., Any],
) -> None:
    *_, (kind, error) = await seen_of(handler, 5, failing=1, error=RuntimeError("a bug"))
    assert (kind, error["status"]) == (ERROR, "internal")


async def test_a_stream_whose_topic_is_gone_ends_its_handler() -> None:
    ended = anyio.Event()

    async def endless(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        try:
            while True:
                yield value
                await anyio.sleep(1)
        finally:
            ended.set()

    broker = broker_of_all()
    async with serving(broker, endless) as server:
        broker.fail_sends(TopicMissing("no such topic"))
        NestRequester(broker).send(REQUEST)
        await ended.wait()
        await finished(broker, server, 1)
        assert server.status().counters.undeliverable == 1


async def test_the_end_of_our_own_streams_does_not_overtake_a_value() -> None:
    """A client would take the value for lost."""
    broker = new_broker()
    async with serving(broker, slowly) as server:
        broker.fail_sends(SendFailed("away"))
        ask(broker, b"2")
        records = await replies(broker, 3)
        await finished(broker, server, 1)
    assert [header(record, "x-sequence") for record in records] == [b"0", b"1", b"2"]
    assert header(records[-1], "x-end") == b"1"


async def test_a_value_of_our_own_streams_that_was_overtaken_comes_late() -> None:
    broker = new_broker()
    async with serving(broker, at_once):
        broker.fail_sends(SendFailed("away"))
        ask(broker, b"3")
        records = await replies(broker, 4)
    assert [header(record, "x-sequence") for record in records] == [b"1", b"2", b"3", b"0"]


async def test_an_error_comes_behind_the_values_that_are_sent_again() -> None:
    async def fail(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"0"
        await anyio.sleep(0.1)
        raise ValueError("no more")

    seen = await seen_of(fail, 1, failing=1)
    assert seen == [b"0", (ERROR, {"status": "internal", "message": ""})]


async def test_streams_of_large_values_run_less_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies_module, "MAX_UNACKNOWLEDGED_BYTES", 1000)
    broker, yielded = new_broker(), 0

    async def large(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        nonlocal yielded
        for _ in range(30):
            yielded += 1
            yield b"x" * 100

    async with serving(broker, large):
        broker.hold_sends()
        ask(broker)
        await anyio.sleep(5)
        assert yielded == 10
        broker.release_sends()
        await replies(broker, 31)


async def test_nothing_follows_the_error_that_ends_a_stream() -> None:
    async def grow(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"x" * 5000
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
        yield b"late"

    broker = MemoryBroker({REQUEST: 1, REPLY: 1}, max_record_bytes=3000)
    async with serving(broker, grow) as server:
        ask(broker)
        await finished(broker, server, 1)
    statuses = [header(each, "x-status") for each in broker.records(TopicPartition(REPLY, 0))]
    assert statuses == [b"internal"]
