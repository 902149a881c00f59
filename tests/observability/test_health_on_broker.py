"""Health with real brokers that are killed, frozen and come back, and records that get stuck."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
import pytest

from sdml_kafka import Health, KafkaListener, KafkaProducer, KafkaRPC, KafkaRPCServer, SendFailed
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.librdkafka.lost_brokers import LOST
from tests.support.clients import arguments
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import Reader, listener_on
from tests.support.rpc_on_broker import client_on, reverse, server_on
from tests.support.seeing_hook import SeeingHook
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.usefixtures("client")]

KILLED_S, FROZEN_S, BACK_S = 2.0, 15.0, 3.0
"""What is promised: seconds until a broker that was killed, was frozen or is back shows."""
REPLACED_S = 16.0
"""Seconds until a broker that is back shows if a client of librdkafka had to be replaced: its old
member is in the group until its session of 6 s is over."""

Observed = KafkaListener | KafkaRPC | KafkaRPCServer | KafkaProducer


@asynccontextmanager
async def one_of_each(
    kafka: EmbeddedKafka, hook: SeeingHook
) -> AsyncGenerator[Mapping[str, Observed]]:
    servers = kafka.bootstrap_servers
    orders = await create_topic(servers, unique("orders"), 2)
    requests = await create_topic(servers, unique("requests"), 2)
    objects: dict[str, Observed] = {
        "listener": listener_on(kafka, orders, hooks=[hook]),
        "server": server_on(kafka, requests, reverse, hooks=[hook]),
        "rpc": client_on(kafka, hooks=[hook]),
        "producer": (producer := producer_on(kafka, hook)),
    }
    async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
        for each in objects.values():
            await stack.enter_async_context(each)
        listener = objects["listener"]
        assert isinstance(listener, KafkaListener)
        tasks.start_soon(Reader(listener).read)
        tasks.start_soon(send_now_and_then, producer, orders)
        yield objects
        tasks.cancel_scope.cancel()


def producer_on(kafka: EmbeddedKafka, hook: SeeingHook) -> KafkaProducer:
    options = arguments(bootstrap_servers=kafka.bootstrap_servers)
    options.get("client_options", {}).pop("group.protocol", None)
    return KafkaProducer(**options, hooks=[hook])


async def send_now_and_then(producer: KafkaProducer, topic: str) -> None:
    """Send on: a producer that sends nothing is not answered, and notices a frozen broker late."""
    while True:
        with suppress(SendFailed):
            await producer.send(topic, b"order", timeout_s=5.0)
        await anyio.sleep(0.1)


async def all_become(objects: Mapping[str, Observed], *, ready: bool) -> dict[str, float]:
    """Return after how many seconds each was ready, or was not any more."""
    began, after = anyio.current_time(), dict[str, float]()
    with anyio.move_on_after(60):
        while len(after) < len(objects):
            for name, each in objects.items():
                if name not in after and each.health().ready is ready:
                    after[name] = anyio.current_time() - began
            await anyio.sleep(0.02)
    others = {name: each.health() for name, each in objects.items() if name not in after}
    assert others == {}, after
    return after


def healths(objects: Mapping[str, Observed]) -> dict[str, Health]:
    return {name: each.health() for name, each in objects.items()}


@pytest.mark.one_loop
async def test_a_broker_that_is_killed_and_one_that_is_frozen(
    mortal_kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    hook = SeeingHook()
    async with one_of_each(mortal_kafka, hook) as objects:
        await all_become(objects, ready=True)
        await anyio.to_thread.run_sync(mortal_kafka.kill)
        killed = await all_become(objects, ready=False)
        shown = healths(objects)
        await anyio.to_thread.run_sync(mortal_kafka.restart)
        restarted = await all_become(objects, ready=True)
        await until(lambda: len(hook.of("broker_back")) >= len(objects))
        gone = [event.origin.kind for event in hook.of("broker_gone")]
        await anyio.to_thread.run_sync(mortal_kafka.freeze)
        try:
            frozen = await all_become(objects, ready=False)
        finally:
            await anyio.to_thread.run_sync(mortal_kafka.thaw)
        thawed = await all_become(objects, ready=True)
    # A client that is replaced may lose sight of the broker once more.
    assert sorted(set(gone) if LOST in caplog.text else gone) == sorted(objects)
    assert {each.state for each in shown.values()} == {"broker away"}
    assert all(each.live for each in shown.values())
    assert max(killed.values()) < KILLED_S + BUSY_S, killed
    back_s = REPLACED_S if LOST in caplog.text else BACK_S + BUSY_S
    assert max(restarted.values()) < back_s, restarted
    assert max(frozen.values()) < FROZEN_S + BUSY_S, frozen
    assert max(thawed.values()) < back_s, thawed


@pytest.mark.librdkafka_too
async def test_a_record_that_hangs_is_stuck_and_one_that_goes_on_is_not(
    embedded_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("hanging"), 1)
    await produce(embedded_kafka.bootstrap_servers, topic, ["a", "b", "c"])
    hangs = anyio.Event()
    async with listener_on(embedded_kafka, topic) as listener, anyio.create_task_group() as tasks:

        async def read() -> None:
            async for value in await listener.subscribe(str):
                if value == "b":
                    await hangs.wait()

        tasks.start_soon(read)
        await until(lambda: listener.status().counters.finished > 0)
        began = anyio.current_time()
        with anyio.fail_after(20):
            while (health := listener.health(stuck_after_s=2.0)).state != "stuck":
                assert health.ready
                await anyio.sleep(0.02)
        told_after_s = anyio.current_time() - began
        hangs.set()
        await until(lambda: listener.health(stuck_after_s=2.0).ready, within_s=BACK_S + BUSY_S)
        tasks.cancel_scope.cancel()
    assert f"{topic} 0: record 1 has been in hand" in health.reason
    assert told_after_s < 2.0 + 1.0 + BUSY_S


@pytest.mark.one_loop
@pytest.mark.librdkafka_too
async def test_producers_that_send_nothing_notice_a_frozen_broker(
    mortal_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(mortal_kafka.bootstrap_servers, unique("orders"), 1)
    hook = SeeingHook()
    async with producer_on(mortal_kafka, hook) as before, producer_on(mortal_kafka, hook) as never:
        await before.send(topic, b"order")
        producers = {"has sent before": before, "has never sent": never}
        await anyio.to_thread.run_sync(mortal_kafka.freeze)
        try:
            frozen = await all_become(producers, ready=False)
        finally:
            await anyio.to_thread.run_sync(mortal_kafka.thaw)
        thawed = await all_become(producers, ready=True)
        await never.send(topic, b"order")
    assert max(frozen.values()) < FROZEN_S + BUSY_S, frozen
    assert max(thawed.values()) < BACK_S + BUSY_S, thawed
