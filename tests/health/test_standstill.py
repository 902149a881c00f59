"""A partition stands still while its lowest unfinished record does, and not while it waits."""

from typing import Any

import anyio
import pytest

from sdml_kafka import (
    Call,
    DeadLetter,
    Delivery,
    Health,
    KafkaListener,
    KafkaRPCServer,
    Retry,
    Send,
)
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.client_by_hand import ask, new_broker, serving
from tests.support.listener_on_twin import P0, TOPIC, broker_with, fill, listener_on, loops
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

LIMIT_S = 5.0


async def work(*_: object) -> None:
    await anyio.sleep(0.15)


async def hang(value: object, *_: object) -> None:
    await work()
    if value == "hangs":
        await anyio.sleep_forever()


async def stays_ready(observed: KafkaListener | KafkaRPCServer, finished: int) -> None:
    """Wait until so many records have finished, and let none of the looks find trouble."""
    while True:
        status, health = observed.status(), observed.health(stuck_after_s=LIMIT_S)
        assert health.ready, health.reason
        if sum(each.frontier for each in status.partitions.values()) >= finished:
            return
        await anyio.sleep(0.3)


async def becomes(state: str, observed: KafkaListener | KafkaRPCServer) -> Health:
    await until(lambda: observed.health(stuck_after_s=LIMIT_S).state == state, within_s=60)
    return observed.health(stuck_after_s=LIMIT_S)


async def test_a_loop_with_a_backlog_is_ready_and_stuck_once_a_record_hangs() -> None:
    broker = broker_with(*map(str, range(200)), partitions=3)
    fill(broker, range(200), partition=1)
    async with listener_on(broker) as listener, loops(await listener.subscribe(str), work=hang):
        await stays_ready(listener, 400)
        fill(broker, ["hangs"])
        await until(lambda: listener.status().partitions[P0].in_hand == 1)
        began = anyio.current_time()
        health = await becomes("stuck", listener)
        assert LIMIT_S - 0.5 <= anyio.current_time() - began < LIMIT_S + 1
        assert "record 200 has been in hand for 5 s" in health.reason


@pytest.mark.parametrize("order", ["key", "partition", "none"])
async def test_a_processor_with_a_backlog_is_ready(order: Any) -> None:
    broker = broker_with(*map(str, range(200)), partitions=3)
    fill(broker, range(200), partition=1)
    async with (
        processing_on(broker) as listener,
        processing(listener, hang, order=order, concurrency=1),
    ):
        await stays_ready(listener, 400)


async def test_a_record_that_hangs_amid_a_backlog_shows_soon() -> None:
    values = [*map(str, range(100)), "hangs", *map(str, range(300))]
    async with (
        processing_on(broker_with(*values)) as listener,
        processing(listener, hang, order="none", concurrency=4),
    ):
        await until(lambda: listener.status().partitions[P0].frontier == 100)
        began = anyio.current_time()
        await becomes("stuck", listener)
        assert LIMIT_S - 0.5 <= anyio.current_time() - began < LIMIT_S + 1


async def test_a_partition_that_waits_for_its_turn_is_not_unread() -> None:
    broker = broker_with("a", "b", "c", partitions=4)
    for partition in (1, 2, 3):
        fill(broker, "abc", partition=partition)

    async def slowly(_: object) -> None:
        await anyio.sleep(3)

    async with listener_on(broker) as listener, loops(await listener.subscribe(str), work=slowly):
        began = anyio.current_time()
        while anyio.current_time() < began + 30:
            assert listener.health(stuck_after_s=LIMIT_S).ready
            await anyio.sleep(0.3)


async def test_records_that_wait_for_a_handler_do_not_wait_for_a_loop() -> None:
    broker = broker_with("hangs", partitions=2)
    fill(broker, range(100), partition=1)
    async with (
        processing_on(broker) as listener,
        processing(listener, hang, order="partition", concurrency=1),
    ):
        await becomes("stuck", listener)
        await anyio.sleep(1)
        parts = listener.health(stuck_after_s=LIMIT_S).parts
    (unread,) = (part for part in parts if part.state == "unread")
    assert "for a handler to take it, and none was taken meanwhile" in unread.reason


async def test_a_record_that_was_taken_at_last_is_in_hand_since_then() -> None:
    async with listener_on(broker_with("a")) as listener:
        stream = await listener.subscribe(str)
        await becomes("unread", listener)
        async with loops(stream, work=lambda _: anyio.sleep_forever()) as (loop,):
            await loop.has_seen(1)
            assert listener.health(stuck_after_s=LIMIT_S).ready
            began = anyio.current_time()
            await becomes("stuck", listener)
            assert anyio.current_time() - began < LIMIT_S + 1


async def test_a_server_with_a_backlog_is_ready() -> None:
    async def answer(value: bytes, call: Call) -> bytes:
        await work()
        return value

    broker = new_broker()
    async with serving(broker, answer, concurrency=1) as server:
        for _ in range(200):
            broker.produce("request", b"a")
        await stays_ready(server, 200)


async def test_a_reply_that_nobody_acknowledges_is_no_handler_that_hangs() -> None:
    async def answer(value: bytes, call: Call) -> bytes:
        return value

    broker = new_broker()
    async with serving(broker, answer) as server:
        broker.hold_sends()
        ask(broker)
        health = await becomes("stuck", server)
        assert "what was sent for it is not acknowledged" in health.reason
        broker.down()
        await becomes("broker away", server)
        (part,) = (p for p in server.health(stuck_after_s=LIMIT_S).parts if p.kind == "partition")
        assert part.state == "broker away"
        broker.up()
        broker.release_sends()
        await until(lambda: server.health().ready)


async def test_a_message_that_nobody_acknowledges_is_no_handler_that_hangs() -> None:
    async def forward(value: str, delivery: Delivery[str]) -> Send:
        return Send("next", value.encode())

    broker = broker_with("a")
    broker.create_topic("next")
    async with processing_on(broker) as listener, processing(listener, forward):
        broker.hold_sends()
        health = await becomes("stuck", listener)
        assert "what was sent for it is not acknowledged" in health.reason
        assert "timeout" not in health.reason
        broker.release_sends()
        await until(lambda: listener.health().ready)


async def test_a_dead_letter_of_what_does_not_parse_is_no_loop_that_hangs() -> None:
    broker = MemoryBroker({TOPIC: 1, "topic-dlt": 1})
    broker.produce(TOPIC, b"\xff")
    async with (
        processing_on(broker, on_parse_error=DeadLetter()) as listener,
        loops(await listener.subscribe(str)),
    ):
        broker.hold_sends()
        health = await becomes("stuck", listener)
        assert "what was sent for it is not acknowledged" in health.reason


async def test_a_record_that_waits_for_a_further_attempt_is_in_hand() -> None:
    async def fail(value: str, delivery: Delivery[str]) -> None:
        raise ValueError(value)

    retry = Retry(attempts=2, backoff_s=60, max_backoff_s=60)
    async with (
        processing_on(broker_with("a")) as listener,
        processing(listener, fail, retry=retry),
    ):
        health = await becomes("stuck", listener)
        assert "does the work on it have a timeout?" in health.reason
