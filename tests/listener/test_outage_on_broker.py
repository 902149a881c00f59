"""A broker that dies, comes back or stays away, under listeners that are at work."""

import asyncio
import threading
from typing import Any

import anyio
import pytest

from sdml_kafka import BrokerUnreachable, KafkaListener
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import Reader
from tests.support.listener_on_broker import listener_on as any_listener_on
from tests.support.load import Load
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.usefixtures("client")]


def listener_on(kafka: EmbeddedKafka, topic: str, **options: Any) -> KafkaListener:
    return any_listener_on(kafka, topic, auto_commit={"every": 200, "interval_s": 0.5}, **options)


@pytest.mark.uvloop_too
@pytest.mark.trio_asyncio_too
async def test_the_stream_goes_on_over_a_restart_of_the_broker(mortal_kafka: EmbeddedKafka) -> None:
    topic = await create_topic(mortal_kafka.bootstrap_servers, unique("restarted"))
    with anyio.fail_after(90), Load(mortal_kafka.bootstrap_servers, topic) as load:
        async with anyio.create_task_group() as tasks, listener_on(mortal_kafka, topic) as listener:
            reader = Reader(listener)
            tasks.start_soon(reader.read)
            await reader.has_seen(300)
            await anyio.to_thread.run_sync(mortal_kafka.kill)
            await until(lambda: not listener.status().connected)
            await anyio.to_thread.run_sync(mortal_kafka.restart)
            await reader.has_seen(len(reader.seen) + 300)
            await until(lambda: listener.status().connected)
            sent = await load.finish()
            await reader.has_seen_all(sent)
    assert set(reader.seen) == sent


@pytest.mark.one_loop
async def test_leaving_with_the_broker_gone_keeps_to_its_time(mortal_kafka: EmbeddedKafka) -> None:
    topic = await create_topic(mortal_kafka.bootstrap_servers, unique("gone"))
    await produce(mortal_kafka.bootstrap_servers, topic, ["a", "b", "c"])
    try:
        async with listener_on(mortal_kafka, topic, stop_timeout=5.0) as listener:
            async for _ in await listener.subscribe(str):
                break
            await anyio.to_thread.run_sync(mortal_kafka.kill)
            left_at = anyio.current_time()
        assert anyio.current_time() - left_at < 5.0 + BUSY_S
    finally:
        await anyio.to_thread.run_sync(mortal_kafka.restart)


@pytest.mark.one_loop
async def test_leaving_with_the_broker_frozen_keeps_to_its_time(
    mortal_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(mortal_kafka.bootstrap_servers, unique("frozen"))
    await produce(mortal_kafka.bootstrap_servers, topic, ["a", "b", "c"])
    try:
        async with listener_on(mortal_kafka, topic, stop_timeout=8.0) as listener:
            async for _ in await listener.subscribe(str):
                break
            await anyio.to_thread.run_sync(mortal_kafka.freeze)
            left_at = anyio.current_time()
        assert anyio.current_time() - left_at < 8.0 + BUSY_S
    finally:
        await anyio.to_thread.run_sync(mortal_kafka.thaw)


async def test_a_broker_that_does_not_answer_is_a_clear_error_in_time(
    mortal_kafka: EmbeddedKafka,
) -> None:
    mortal_kafka.freeze()
    began = anyio.current_time()
    try:
        with pytest.raises(BrokerUnreachable, match="Check the address"):
            async with listener_on(mortal_kafka, "topic", start_timeout=1.0):
                pytest.fail("entered")
        assert anyio.current_time() - began < 1.0 + BUSY_S
    finally:
        mortal_kafka.thaw()


@pytest.mark.uvloop_too
@pytest.mark.trio_asyncio_too
async def test_a_cancelled_start_leaves_nothing_behind(
    mortal_kafka: EmbeddedKafka, anyio_backend_name: str
) -> None:
    def living() -> set[object]:
        tasks = asyncio.all_tasks() if anyio_backend_name == "asyncio" else ()
        return {*tasks, *(t for t in threading.enumerate() if t.name.startswith("sdml-kafka"))}

    before = living()
    mortal_kafka.freeze()
    try:
        with anyio.move_on_after(0.3) as scope:
            async with listener_on(mortal_kafka, "topic"):
                pytest.fail("entered")
        assert scope.cancelled_caught
        with anyio.fail_after(10):  # a thread reports its end a moment before it ends
            await until(lambda: living() <= before)
    finally:
        mortal_kafka.thaw()
