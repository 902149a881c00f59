"""Pausing: nothing more of a partition begins, what is in hand finishes, and nothing is lost."""

from typing import Any

import anyio
import pytest

from sdml_kafka import ClientClosed, ConfigurationError, Delivery, KafkaListener, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
)
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_a_paused_partition_hands_out_nothing_and_the_other_goes_on() -> None:
    broker = broker_with(partitions=2)
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await listener.pause(P0)
        assert listener.status().partitions[P0].paused
        assert not listener.status().partitions[P1].paused
        fill(broker, "ab")
        fill(broker, "cd", partition=1)
        await loop.has_seen(2)
        await anyio.sleep(10)
        assert sorted(loop.seen) == ["c", "d"]
        await listener.resume(P0)
        await loop.has_seen(4)
        assert sorted(loop.seen) == ["a", "b", "c", "d"]
        assert not listener.status().partitions[P0].paused


async def test_what_waits_in_a_stream_comes_once_after_resuming() -> None:
    broker, gate = broker_with(*map(str, range(1500))), Gate()
    async with (
        listener_on(broker, auto_commit={"interval_s": 0.1}) as listener,
        loops(await listener.subscribe(str), work=gate) as (loop,),
    ):
        await loop.has_seen(1)
        await listener.pause(TOPIC)
        gate.open()
        await until(lambda: broker.committed(GROUP, P0) == 1)
        await anyio.sleep(5)
        assert loop.seen == ["0"]
        await listener.resume(TOPIC)
        await loop.has_seen(1500)
        await anyio.sleep(1)
        assert loop.seen == [*map(str, range(1500))]
        assert listener.status().counters.late_finishes == 0


async def test_a_loop_may_pause_and_resume_what_it_has_in_hand() -> None:
    broker, seen = broker_with(*map(str, range(20))), list[str]()
    async with listener_on(broker) as listener:
        with anyio.fail_after(30):
            async for value in await listener.subscribe(str):
                seen.append(value)
                await listener.pause(TOPIC)
                await listener.resume(TOPIC)
                if len(seen) == 20:
                    break
    assert seen == [*map(str, range(20))]


@pytest.mark.parametrize("offset_map", [True, False])
async def test_what_a_processor_has_finished_ahead_does_not_come_again(offset_map: bool) -> None:
    broker, gate = broker_with(*map(str, range(100))), Gate()
    begun = list[str]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        begun.append(value)
        if value == "3":
            await gate(value)
        await anyio.sleep(0.01)

    listener = processing_on(broker, offset_map=offset_map)
    async with listener, processing(listener, handle, order="none", concurrency=5):
        await until(lambda: len(begun) > 30)
        await listener.pause(P0)
        count = len(begun)
        await anyio.sleep(5)
        assert len(begun) == count
        await listener.resume(P0)
        await anyio.sleep(5)
        assert len(begun) == count  # a record is still in hand
        gate.open()
        await until(lambda: len(begun) == 100)
        await until(lambda: broker.committed(GROUP, P0) == 100)
        assert sorted(begun, key=int) == [*map(str, range(100))]
        assert listener.status().counters.late_finishes == 0


async def test_a_pause_is_kept_over_rebalances() -> None:
    broker = broker_with(partitions=2)
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await listener.pause(TOPIC)
        await listener.resume(P1)
        fill(broker, "ab")
        fill(broker, "cd", partition=1)
        broker.rebalance(GROUP)
        await until(lambda: listener.status().counters.rebalances == 2)
        await loop.has_seen(2)
        await anyio.sleep(5)
        assert sorted(loop.seen) == ["c", "d"]
        await listener.resume(TOPIC)
        await loop.has_seen(4)


async def test_a_partition_that_is_revoked_while_it_waits_to_go_on_is_handed_over() -> None:
    broker, gate = broker_with(*"abc"), Gate()
    async with (
        listener_on(broker) as listener,
        loops(await listener.subscribe(str), work=gate) as (loop,),
    ):
        await loop.has_seen(1)
        await listener.pause(P0)
        await listener.resume(P0)
        broker.rebalance(GROUP)
        await anyio.sleep(0.5)
        gate.open()
        await loop.has_seen(3)
        await anyio.sleep(5)
        assert loop.seen == ["a", "b", "c"]


async def test_leaving_commits_what_has_finished_of_a_paused_partition() -> None:
    broker = broker_with(*"abc")
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(3)
        await anyio.sleep(0.1)
        await listener.pause(P0)
    assert broker.committed(GROUP, P0) == 3


@pytest.mark.parametrize(
    "what", ["other", TopicPartition("other", 0), (TOPIC, "0"), 3, (TOPIC, -1)]
)
async def test_what_cannot_be_paused_is_a_configuration_error(what: Any) -> None:
    async with listener_on(broker_with()) as listener:
        for call in (listener.pause, listener.resume):
            with pytest.raises(ConfigurationError):
                await call(what)


async def test_a_listener_that_does_not_run_cannot_pause() -> None:
    listener: KafkaListener = listener_on(MemoryBroker({TOPIC: 1}))
    for call in (listener.pause, listener.resume):
        with pytest.raises(ClientClosed):
            await call(TOPIC)
