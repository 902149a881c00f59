"""A producer that is closed or cancelled leaves no socket, task, thread or log filter behind."""

import asyncio
import gc
import logging
import os
import threading

import anyio
import anyio.to_thread
import psutil
import pytest

from sdml_kafka.errors import SendFailed
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.producer import Message
from tests.support.contracts.aiokafka_producer_world import AiokafkaWorld
from tests.support.contracts.producer_world import CALL_S, Outcomes, started
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


def living(kafka: EmbeddedKafka, backend: str) -> set[object]:
    (port,) = kafka.ports
    sockets = {
        connection.fd
        for connection in psutil.Process(os.getpid()).net_connections("tcp")
        if connection.raddr and connection.raddr.port == port
    }
    tasks = asyncio.all_tasks() if backend == "asyncio" else ()
    threads = {each for each in threading.enumerate() if each.name == "sdml-kafka"}
    return {*sockets, *tasks, *threads}


@pytest.mark.parametrize("is_away", [False, True], ids=["there", "frozen"])
async def test_cancelled_anywhere_it_leaves_nothing_behind(
    world: AiokafkaWorld,
    topic: str,
    anyio_backend_name: str,
    is_away: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = living(world.kafka, anyio_backend_name)
    for after_s in (0.0, 0.004, 0.03) if is_away else (0.0, 0.001, 0.004, 0.01, 0.03, 0.1):
        for away_after_s in (0.0, 0.02) if is_away else (None,):
            with anyio.move_on_after(after_s + 0.1 * is_away):
                await use_it_all(world, topic, away_after_s)
            if is_away:
                await world.come_back()
    gc.collect()
    await until(lambda: not living(world.kafka, anyio_backend_name) - before, CALL_S)
    assert not [each for each in caplog.records if "never retrieved" in each.getMessage()]


async def use_it_all(world: AiokafkaWorld, topic: str, away_after_s: float | None) -> None:
    async with anyio.create_task_group() as tasks:
        if away_after_s is not None:
            tasks.start_soon(freeze_after, world, away_after_s)
        async with world.connect()() as producer:
            await producer.start(CALL_S)
            for number in range(100):
                producer.send(Message(topic, bytes(1000), partition=number % 2), lambda error: None)
            await producer.flush(CALL_S)
            await producer.live_members("group", CALL_S)
            await producer.close(0.2)


async def freeze_after(world: AiokafkaWorld, after_s: float) -> None:
    await anyio.sleep(after_s)
    await world.go_away()


@pytest.mark.one_loop
async def test_closing_keeps_to_its_time_with_the_broker_killed(
    world: AiokafkaWorld,
    topic: str,
    outcomes: Outcomes,
    anyio_backend_name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = living(world.kafka, anyio_backend_name)
    async with started(world.connect(max_batch_size=1000)) as producer:
        producer.send(Message(topic, b"first"), outcomes.of("first"))
        await outcomes.one("first")
        await anyio.to_thread.run_sync(world.kafka.kill)
        try:
            for number in range(50):
                producer.send(Message(topic, bytes(600), partition=0), outcomes.of(number))
            assert not await producer.flush(0.5)
            began = anyio.current_time()
            await producer.close(0.5)
            assert anyio.current_time() - began < 0.5 + BUSY_S
            await outcomes.wait_for(51)
        finally:
            await anyio.to_thread.run_sync(world.kafka.restart)
    assert {type(error) for number in range(50) for error in outcomes.reported[number]} == {
        SendFailed
    }
    # What has not gone out may be sent again, in the order in which it was reported.
    errors = {number: outcomes.reported[number][0] for number in range(50)}
    not_sent = [number for number, error in errors.items() if not getattr(error, "in_doubt", True)]
    assert len(not_sent) > 40
    assert not_sent == sorted(not_sent, key=list(outcomes.reported).index)
    gc.collect()
    await until(lambda: not living(world.kafka, anyio_backend_name) - before, CALL_S)
    assert not [each for each in caplog.records if each.name == "asyncio"]


async def test_the_loggers_are_quiet_only_while_a_producer_is_open(world: AiokafkaWorld) -> None:
    sender = logging.getLogger("aiokafka.producer.sender")
    async with started(world.connect()):
        assert sender.filters
    assert not sender.filters
