"""A broker that is frozen or gone: each call ends in its time, and nothing is left behind."""

import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio
import psutil
import pytest

from sdml_kafka.errors import BrokerUnreachable, CommitFailed, SeekFailed
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.consumer import Connect, Consumer
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.librdkafka.consumer.adapter import CLOSE_TIMEOUT_S, connect
from sdml_kafka.transport.librdkafka.options import consumer_settings
from tests.support.checkpoints import cancelled_at
from tests.support.contracts.consumer_world import CALL_S
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.waiting import BUSY_S, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.timeout(120),
]

SPARE_S = BUSY_S
"""Seconds on top of a timeout."""

Away = Callable[[EmbeddedKafka], None]
FROZEN, GONE = EmbeddedKafka.freeze, EmbeddedKafka.kill


def connect_to(kafka: EmbeddedKafka) -> Connect:
    options = {"fetch.wait.max.ms": 50}
    return connect(consumer_settings(kafka.bootstrap_servers, unique("group"), "earliest", options))


def living() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("sdml-kafka")}


def is_left(before: int) -> bool:
    """Return whether a thread of ours, or a thread of librdkafka's, is there."""
    return bool(living()) or psutil.Process().num_threads() > before


@contextmanager
def within(limit_s: float) -> Generator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < limit_s


async def assigned(consumer: Consumer, key: TopicPartition) -> int:
    """Poll until the consumer has the partition, and return the epoch."""
    with anyio.fail_after(CALL_S):
        while True:
            polled = await consumer.poll((), 1, CALL_S)
            if polled.assignment is not None and key in polled.assignment.positions:
                return polled.assignment.epoch


@asynccontextmanager
async def topic_on(kafka: EmbeddedKafka) -> AsyncGenerator[TopicPartition]:
    topic = await create_topic(kafka.bootstrap_servers, unique("topic"), 1)
    await produce(kafka.bootstrap_servers, topic, ["a", "b"])
    try:
        yield TopicPartition(topic, 0)
    finally:
        if kafka.alive():
            kafka.thaw()
        else:
            await anyio.to_thread.run_sync(kafka.restart)


async def test_a_start(mortal_kafka: EmbeddedKafka) -> None:
    async with topic_on(mortal_kafka) as key:
        FROZEN(mortal_kafka)
        for timeout_s in (0.3, 1.5):
            with within(timeout_s + SPARE_S):
                async with connect_to(mortal_kafka)() as consumer:
                    with pytest.raises(BrokerUnreachable, match="it does not answer"):
                        await consumer.start([key.topic], timeout_s)
        with within(0.5 + 2.0 + SPARE_S):
            with anyio.move_on_after(0.5):
                async with connect_to(mortal_kafka)() as consumer:
                    await consumer.start([key.topic], 60.0)
        with anyio.fail_after(5):
            await until(lambda: not living())


@pytest.mark.parametrize(
    "away",
    [pytest.param(FROZEN, id="frozen"), pytest.param(GONE, id="gone", marks=pytest.mark.soak)],
)
async def test_all_later_calls(mortal_kafka: EmbeddedKafka, away: Away) -> None:
    before = 0
    async with topic_on(mortal_kafka) as key:
        before = psutil.Process().num_threads()
        async with connect_to(mortal_kafka)() as consumer:
            await consumer.start([key.topic], CALL_S)
            epoch = await assigned(consumer, key)
            await consumer.commit(epoch, {key: Commit(1)}, CALL_S)
            await anyio.to_thread.run_sync(away, mortal_kafka)
            # librdkafka may say itself that the coordinator is away, right before the time is over.
            unknown = "may have gone through|coordinator is away"
            with within(1.0 + SPARE_S), pytest.raises(CommitFailed, match=unknown):
                await consumer.commit(epoch, {key: Commit(2)}, 1.0)
            with within(1.0 + 5.0 + SPARE_S), pytest.raises(SeekFailed, match="in time"):
                await consumer.seek(epoch, 1, {key: "latest"}, 1.0)
            with anyio.fail_after(CALL_S):
                while True:
                    with within(0.2 + SPARE_S):
                        polled = await consumer.poll([key], 100, 0.2)
                    if polled.health is not None and not polled.health.connected:
                        break
            began = time.monotonic()
        assert time.monotonic() - began < CLOSE_TIMEOUT_S + SPARE_S
    # Until the broker is back librdkafka waits up to a minute for the answer to a commit.
    with anyio.fail_after(20):
        await until(lambda: not is_left(before))


async def test_a_consumer_may_be_cancelled_anywhere(embedded_kafka: EmbeddedKafka) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("topic"), 1)
    await produce(embedded_kafka.bootstrap_servers, topic, ["a", "b"])
    key, process = TopicPartition(topic, 0), psutil.Process()
    connect = connect_to(embedded_kafka)
    threads, sockets = process.num_threads(), len(process.net_connections())

    async def scenario() -> None:
        async with connect() as consumer:
            await consumer.start([topic], CALL_S)
            epoch = await assigned(consumer, key)
            await consumer.commit(epoch, {key: Commit(1)}, CALL_S)
            await consumer.seek(epoch, 1, {key: "earliest"}, CALL_S)
            await consumer.poll([key], 10, CALL_S, 1)
            with anyio.move_on_after(0.01):
                await consumer.revocation()

    times = 0
    while await cancelled_at(times + 1, scenario()):
        times += 1
        with anyio.move_on_after(30):
            await until(lambda: not is_left(threads))
        assert not is_left(threads), [each.name for each in threading.enumerate()]
        assert len(process.net_connections()) <= sockets
    assert times >= 7
