"""When the broker is asked for the ends of partitions, and which ends they are."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer import health
from sdml_kafka.transport.aiokafka.consumer.adapter import connect
from sdml_kafka.transport.asyncio_loop import open_home
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Tail
from tests.support.contracts.aiokafka_consumer_world import aiokafka_world
from tests.support.contracts.consumer_world import (
    PATIENCE_S,
    Seat,
    World,
    numbered,
    partitions,
    poll_until,
    releasing,
    seat,
    share_out,
)
from tests.support.waiting import BUSY_S

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

RECENT_S = 1.0


@pytest.fixture(autouse=True)
def asks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "RECENT_S", RECENT_S)


class Asked:
    """Makes consumers, and notes the requests for ends that they send once they are assigned."""

    def __init__(self, servers: str, **options: object) -> None:
        self.count = 0
        self._options = {
            "bootstrap_servers": servers,
            "group_id": f"ends-{uuid4().hex}",
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": 50,
            "metadata_max_age_ms": 500,
            "session_timeout_ms": 60_000,
            **options,
        }

    @property
    def connect(self) -> Connect:
        return connect(self._make)

    def _make(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self._options)
        send = consumer._client.send

        async def counting(node: int, request: object, **more: object) -> object:
            self.count += type(request).__name__ == "OffsetRequest"
            return await send(node, request, **more)

        consumer._client.send = counting
        return consumer


@asynccontextmanager
async def open_transaction(servers: str, partition: TopicPartition) -> AsyncGenerator[None]:
    """Keep a transaction open that has written one record."""
    async with open_home() as home:

        async def begin() -> AIOKafkaProducer:
            producer = AIOKafkaProducer(
                bootstrap_servers=servers, transactional_id=f"open-{uuid4().hex}"
            )
            await producer.start()
            await producer.begin_transaction()
            await producer.send_and_wait(partition.topic, b"open", partition=partition.partition)
            return producer

        producer = await home.call(begin)

        async def end() -> None:
            await producer.commit_transaction()
            await producer.stop()

        yield
        await home.call(end)


def end_of(member: Seat, partition: TopicPartition) -> int | None:
    end = member.health and member.health.ends.get(partition)
    return end.offset if end else None


async def knows(member: Seat, partition: TopicPartition, end: int, *ready: TopicPartition) -> None:
    with anyio.fail_after(PATIENCE_S):
        while end_of(member, partition) != end:
            await member.poll(ready)


async def test_nothing_is_asked_while_all_is_fetched(
    world: World, embedded_kafka: EmbeddedKafka
) -> None:
    topic = world.name()
    await world.create_topic(topic, 2)
    p0, p1 = partitions(topic, 2)
    asked = Asked(embedded_kafka.bootstrap_servers)
    async with seat(asked.connect, topic) as member:
        await share_out(2, member)
        at_first = asked.count
        for _ in range(40):
            began = anyio.current_time()
            await world.produce(p0, b"one")
            await member.poll()
            if anyio.current_time() - began > RECENT_S / 2:
                at_first = asked.count  # the machine stood still, and no end was recent then
            assert asked.count == at_first
        await world.produce(p1, *numbered(3))
        await knows(member, p1, 3, p0)
        before, began = asked.count, anyio.current_time()
        await world.produce(p1, *numbered(3))
        await knows(member, p1, 6, p0)
        assert before < asked.count <= before + 2 + (anyio.current_time() - began) / RECENT_S
        assert member.health is not None
        assert member.health.high_watermarks[p1] == 6
        assert member.health.mark_ages_s[p1] == member.health.ends[p1].age_s
        await poll_until(lambda: member.count == 46, member)


async def test_for_a_tail_nothing_is_asked(world: World, embedded_kafka: EmbeddedKafka) -> None:
    topic = world.name()
    await world.create_topic(topic, 1)
    (p0,) = partitions(topic, 1)
    asked = Asked(embedded_kafka.bootstrap_servers)
    async with seat(asked.connect, topic, tail=Tail()) as member:
        await share_out(1, member)
        at_first = asked.count
        await world.produce(p0, *numbered(3))
        for _ in range(int(2 * RECENT_S / 0.1)):
            await member.poll(ready=())
        assert asked.count == at_first


@pytest.mark.parametrize("is_fetched", [True, False])
async def test_reading_committed_the_end_is_where_the_first_open_transaction_begins(
    world: World, embedded_kafka: EmbeddedKafka, is_fetched: bool
) -> None:
    servers, topic = embedded_kafka.bootstrap_servers, world.name()
    await world.create_topic(topic, 1)
    (p0,) = partitions(topic, 1)
    await world.produce(p0, *numbered(3))
    ready = [p0] if is_fetched else []
    committed = Asked(servers, isolation_level="read_committed").connect
    async with seat(committed, topic) as member, seat(Asked(servers).connect, topic) as other:
        await share_out(1, member)
        await share_out(1, other)
        async with open_transaction(servers, p0):
            await world.produce(p0, *numbered(2))
            await knows(member, p0, 3, *ready)
            await knows(other, p0, 6, *ready)
            for _ in range(int(2 * RECENT_S / 0.1)):
                await member.poll(ready)
                assert end_of(member, p0) == 3
            if is_fetched:  # the log's own end bounds ages, and is another one
                assert member.health is not None
                assert member.health.high_watermarks[p0] == 6
        await knows(member, p0, 7, *ready)  # with the marker
        await knows(other, p0, 7, *ready)


@pytest.mark.one_loop
async def test_in_an_outage_the_age_grows_and_afterwards_the_end_is_known(
    mortal_kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    async with aiokafka_world(mortal_kafka.bootstrap_servers) as world:
        topic = world.name()
        await world.create_topic(topic, 1)
        (p0,) = partitions(topic, 1)
        await world.produce(p0, *numbered(3))
        connect = Asked(mortal_kafka.bootstrap_servers, request_timeout_ms=3000).connect
        async with seat(connect, topic) as member, releasing(member):
            await share_out(1, member)
            await knows(member, p0, 3)
            await anyio.to_thread.run_sync(mortal_kafka.freeze)
            try:
                caplog.clear()
                began = anyio.current_time()
                while anyio.current_time() < began + 5 * RECENT_S:
                    await member.poll(ready=())
                assert member.health is not None
                assert 4 * RECENT_S < member.health.ends[p0].age_s < 6 * RECENT_S + BUSY_S
                assert end_of(member, p0) == 3
                assert len(caplog.records) < 20
            finally:
                await anyio.to_thread.run_sync(mortal_kafka.thaw)
            await world.produce(p0, *numbered(2))
            await knows(member, p0, 5)


async def test_a_frozen_broker_does_not_hold_up_closing(mortal_kafka: EmbeddedKafka) -> None:
    async with aiokafka_world(mortal_kafka.bootstrap_servers) as world:
        topic = world.name()
        await world.create_topic(topic, 1)
        (p0,) = partitions(topic, 1)
        await world.produce(p0, *numbered(3))
        asked = Asked(mortal_kafka.bootstrap_servers)
        async with seat(asked.connect, topic) as member:
            await share_out(1, member)
            await knows(member, p0, 3)
            await anyio.to_thread.run_sync(mortal_kafka.freeze)
            try:
                before = asked.count
                with anyio.fail_after(PATIENCE_S):
                    while asked.count == before:
                        await member.poll(ready=())
                began = anyio.current_time()
                await member.consumer.close(2.0)
                assert anyio.current_time() - began < 2.0 + BUSY_S
            finally:
                await anyio.to_thread.run_sync(mortal_kafka.thaw)


async def test_a_deleted_topic_costs_the_others_nothing(
    world: World, embedded_kafka: EmbeddedKafka
) -> None:
    """Until the group has noticed, the broker does not know one of the partitions asked for."""
    kept, deleted = world.name(), world.name()
    for topic in (kept, deleted):
        await world.create_topic(topic, 1)
    (p0,), (gone,) = partitions(kept, 1), partitions(deleted, 1)
    await world.produce(p0, *numbered(1))
    await world.produce(gone, *numbered(1))
    asked = Asked(embedded_kafka.bootstrap_servers, metadata_max_age_ms=300_000)
    async with seat(asked.connect, kept, deleted) as member, releasing(member):
        await share_out(2, member)
        await knows(member, p0, 1)
        await world.replace(deleted, 1)
        await world.produce(p0, *numbered(4))
        await knows(member, p0, 5)
