"""Wherever a program is cancelled that uses librdkafka, no thread, socket or file of it is left."""

import threading
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import psutil
import pytest
from attrs import Factory, astuple, frozen

from sdml_kafka import Call, Delivery, KafkaListener, KafkaProducer, KafkaRPC, KafkaRPCServer, Send
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.librdkafka.consumer.adapter import connect
from sdml_kafka.transport.librdkafka.options import consumer_settings
from tests.support.checkpoints import cancelled_at
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import texts

Scenario = Callable[[str, str, str], Coroutine[Any, Any, None]]

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(600)]

LIMIT_S = 30.0
STEP_S = 0.04
"""Seconds by which a program lives longer than the one before it."""


async def send(servers: str, source: str, target: str) -> None:
    async with KafkaProducer(bootstrap_servers=servers, client="librdkafka") as producer:
        await producer.send(target, b"one")


async def transact(servers: str, source: str, target: str) -> None:
    own_id = unique("id")
    async with (
        KafkaProducer(
            bootstrap_servers=servers, client="librdkafka", transactional_id=own_id
        ) as producer,
        producer.transaction() as transaction,
    ):
        await transaction.send(target, b"one")


async def consume(servers: str, source: str, target: str) -> None:
    """Await each call of a consumer in this task, so that each is cut off."""
    key = TopicPartition(source, 0)
    settings = consumer_settings(servers, unique("group"), "earliest", {})
    async with connect(settings)() as consumer:
        await consumer.start([source], LIMIT_S)
        epoch = 0
        while not (polled := await consumer.poll([key], 100, 1.0)).records:
            epoch = polled.assignment.epoch if polled.assignment else epoch
        epoch = polled.assignment.epoch if polled.assignment else epoch
        await consumer.commit(epoch, {key: Commit(1)}, LIMIT_S)
        await consumer.group_metadata(epoch, [key], LIMIT_S)
        await consumer.seek(epoch, 1, {key: "earliest"}, LIMIT_S)
        while not (await consumer.poll([key], 100, 1.0, 1)).records:
            pass


async def process(servers: str, source: str, target: str) -> None:
    is_copied = anyio.Event()
    listener = KafkaListener(
        texts(source),
        group_id=unique("group"),
        auto_offset_reset="earliest",
        bootstrap_servers=servers,
        client="librdkafka",
    )

    @listener.processor(str, exactly_once=True)
    async def copy(value: str, delivery: Delivery[str]) -> Send:
        is_copied.set()
        return Send(target, value.encode())

    async with listener:
        await is_copied.wait()


async def request(servers: str, source: str, target: str) -> None:
    group_id = unique("group")
    server = KafkaRPCServer(bootstrap_servers=servers, client="librdkafka", group_id=group_id)

    @server.handler(source)
    async def echo(value: bytes, call: Call) -> bytes:
        return value

    async with server, KafkaRPC(bootstrap_servers=servers, client="librdkafka") as rpc:
        assert await rpc.request(source, b"one") == b"one"


@frozen
class Resources:
    """What this process has of the operating system."""

    threads: int = Factory(lambda: psutil.Process().num_threads())
    sockets: int = Factory(lambda: len(psutil.Process().net_connections()))
    files: int = Factory(lambda: psutil.Process().num_fds())

    def is_more_than(self, other: "Resources") -> bool:
        mine, others = astuple(self), astuple(other)
        return any(one > another for one, another in zip(mine, others, strict=True))


async def assert_no_more_than(before: Resources) -> None:
    deadline = anyio.current_time() + LIMIT_S
    while (left := Resources()).is_more_than(before):
        assert anyio.current_time() < deadline, (left, before, threading.enumerate())
        await anyio.sleep(0.02)


@pytest.fixture
async def topics(embedded_kafka: EmbeddedKafka) -> tuple[str, str, str]:
    """The addresses of the brokers, a topic with a record, and an empty one."""
    servers = embedded_kafka.bootstrap_servers
    source, target = [await create_topic(servers, unique(name), 1) for name in ("in", "out")]
    await produce(servers, source, ["one"])
    return servers, source, target


@pytest.mark.parametrize(
    "scenario",
    [
        send,
        pytest.param(transact, marks=pytest.mark.soak),
        pytest.param(consume, marks=pytest.mark.soak),
    ],
)
async def test_nothing_is_left_after_any_checkpoint(
    topics: tuple[str, str, str], scenario: Scenario
) -> None:
    await scenario(*topics)  # what is made once for all is there from now on
    before, times = Resources(), 0
    while await cancelled_at(times + 1, scenario(*topics)):
        times += 1
        await assert_no_more_than(before)
    assert times >= 4


@pytest.mark.soak
@pytest.mark.parametrize("scenario", [process, request])
async def test_nothing_is_left_at_any_time(
    topics: tuple[str, str, str], scenario: Scenario
) -> None:
    await scenario(*topics)
    before, times, is_cut_off = Resources(), 0, True
    while is_cut_off:
        times += 1
        with anyio.move_on_after(times * STEP_S) as scope:
            await scenario(*topics)
        is_cut_off = scope.cancelled_caught
        await assert_no_more_than(before)
    assert times >= 5
