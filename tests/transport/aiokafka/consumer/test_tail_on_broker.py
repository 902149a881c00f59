"""What a tail costs and survives on a real Kafka, beyond the contract that all drivers keep."""

import asyncio
from collections.abc import Callable
from functools import partial
from uuid import uuid4

import anyio
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer.adapter import AiokafkaConsumer, connect
from sdml_kafka.transport.aiokafka.frames import FrameReader
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
)
from tests.support.contracts.tail import assigned_anew, positions
from tests.support.kafka_from_outside import delete_topic
from tests.support.undecodable_batch import produce_poison

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

PAYLOAD = b"x" * 10_000
PER_PARTITION = 30
WAITING_BYTES = PER_PARTITION * len(PAYLOAD)


@pytest.fixture
def group() -> str:
    return f"tail-{uuid4().hex}"


@pytest.fixture
def clients() -> list[AIOKafkaConsumer]:
    """The clients that `reading` has built."""
    return []


@pytest.fixture
def reading(embedded_kafka: EmbeddedKafka, group: str, clients: list[AIOKafkaConsumer]) -> Connect:
    """Return a consumer that raises where there is no position.

    It looks for new partitions only when it has to.
    """

    def build() -> AIOKafkaConsumer:
        clients.append(
            AIOKafkaConsumer(
                bootstrap_servers=embedded_kafka.bootstrap_servers,
                group_id=group,
                auto_offset_reset="none",
                session_timeout_ms=6000,
                heartbeat_interval_ms=200,
                fetch_max_wait_ms=50,
            )
        )
        return clients[-1]

    return connect(build, in_group=False)


def in_the_client(member: Seat, function: Callable[[], object]) -> None:
    """Call a function on the loop of the member's client."""
    assert isinstance(member.consumer, AiokafkaConsumer)
    member.consumer._home.call_soon(function)


async def test_an_offset_that_goes_under_way_does_not_end_the_consumer(
    world: World, reading: Connect, clients: list[AIOKafkaConsumer]
) -> None:
    """So it is when retention has overtaken a reader, or a broker has lost its disk."""
    topic = world.name()
    await world.create_topic(topic, 2)
    p0, p1 = partitions(topic, 2)
    await world.produce(p0, *numbered(5))
    await world.trim(p0, 2)
    async with seat(reading, topic, tail=Tail()) as member:
        await assigned_anew(member)
        assert positions(member) == {p0: 5, p1: 0}
        in_the_client(member, partial(clients[0].seek, ClientPartition(*p0), 1000))
        values: list[bytes | None] = []
        with anyio.fail_after(PATIENCE_S):
            while len(values) < 3:
                polled = await member.consumer.poll([p0, p1], 500, 0.2)
                values += [record.value for record in polled.records.get(p0, ())]

        assert values == numbered(3, first=2)


@pytest.mark.parametrize(("records", "lost"), [(4, 0), (20, 3)])
async def test_of_what_does_not_decode_the_batch_is_passed_over_and_nothing_behind_it(
    world: World, reading: Connect, embedded_kafka: EmbeddedKafka, records: int, lost: int
) -> None:
    """In a large batch the steps grow: 9 of 1, then 2, 4 and 8, which is 3 too far."""
    topic = world.name()
    await world.create_topic(topic, 1)
    (p0,) = partitions(topic, 1)
    async with seat(reading, topic, tail=Tail()) as member:
        await assigned_anew(member)
        await world.produce(p0, *numbered(3))
        await produce_poison(embedded_kafka.bootstrap_servers, topic, 0, records=records)
        await world.produce(p0, *numbered(6, first=3))
        await produce_poison(embedded_kafka.bootstrap_servers, topic, 0)
        await world.produce(p0, *numbered(3, first=9))
        values: list[bytes | None] = []
        with anyio.fail_after(PATIENCE_S):
            while len(values) < 12 - lost:
                polled = await member.consumer.poll([p0], 500, 0.2)
                values += [record.value for record in polled.records.get(p0, ())]
    assert values == [*numbered(3), *numbered(9 - lost, first=3 + lost)]


async def test_a_topic_that_was_deleted_begins_anew_when_it_comes_back(
    strict_kafka: EmbeddedKafka, group: str
) -> None:
    async with aiokafka_world(strict_kafka.bootstrap_servers) as world:
        topic = world.name()
        await world.create_topic(topic, 1)
        (p0,) = partitions(topic, 1)
        async with seat(world.connect(group), topic, tail=Tail()) as member, releasing(member):
            await assigned_anew(member)
            await world.produce(p0, *numbered(3))
            await has_read(member, p0, 3)
            await delete_topic(strict_kafka.bootstrap_servers, topic)
            # Not when the partition is revoked: the topic has to be missed by the next assignment.
            await poll_until(lambda: member.assignment and not member.partitions, member)
            await world.create_topic(topic, 1)
            await world.produce(p0, *numbered(5, first=3))  # more than were there before
            await has_read(member, p0, 8)
        assert member.seen[p0] == numbered(8)


async def test_a_partition_that_nobody_has_yet_is_not_elsewhere(
    world: World, reading: Connect, clients: list[AIOKafkaConsumer]
) -> None:
    """The group assigns the partitions that its leader knew; positioning then finds more."""
    topic = world.name()
    await world.create_topic(topic, 2)
    async with seat(reading, topic, tail=Tail()) as member, releasing(member):
        await assigned_anew(member)
        await world.add_partitions(topic, 1)
        in_the_client(member, clients[0]._coordinator.request_rejoin)
        await assigned_anew(member)

        assert set(positions(member)) == set(partitions(topic, 3))
        assert [each.elsewhere for each in member.assignments] == [frozenset()] * 2


class Received:
    """The bytes that arrived over all sockets of this process, as asyncio's streams or frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        feed_data, buffer_updated = asyncio.StreamReader.feed_data, FrameReader.buffer_updated

        def counting_frames(reader: FrameReader, nbytes: int) -> None:
            self.count += nbytes
            buffer_updated(reader, nbytes)

        monkeypatch.setattr(FrameReader, "buffer_updated", counting_frames)

        def counting(reader: asyncio.StreamReader, data: bytes) -> None:
            self.count += len(data)
            feed_data(reader, data)

        monkeypatch.setattr(asyncio.StreamReader, "feed_data", counting)


async def has_read(member: Seat, partition: TopicPartition, count: int) -> None:
    await poll_until(lambda: len(member.seen.get(partition, ())) == count, member)


@pytest.mark.one_loop
async def test_of_a_share_no_other_partition_is_read_from_the_socket(
    world: World, reading: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = world.name()
    await world.create_topic(topic, 8)
    all_eight = partitions(topic, 8)
    own = TopicPartition(topic, 3)
    payloads = [PAYLOAD] * PER_PARTITION
    for partition in all_eight:
        await world.produce(partition, *payloads)
    received = Received(monkeypatch)
    async with seat(reading, topic, tail=Tail(positions={own: 0}, share=0)) as member:
        for rounds in range(1, 4):
            await has_read(member, own, rounds * PER_PARTITION)
            # Another member comes and goes; after either rebalance partitions are assigned anew.
            other_tail = Tail(share=own.partition)
            async with seat(reading, topic, tail=other_tail) as other, releasing(member, other):
                # Either member may learn of its assignment first.
                await poll_until(
                    lambda: other.assignments and member.assignments[-1].elsewhere, member, other
                )
            async with releasing(member):
                await poll_until(lambda: not member.assignments[-1].elsewhere, member)
            for partition in all_eight:
                await world.produce(partition, *payloads)
        expected = 4 * PER_PARTITION
        await has_read(member, own, expected)
        await member.poll(all_eight, timeout_s=0.5)

    own_bytes = expected * len(PAYLOAD)
    assert own_bytes < received.count < own_bytes + WAITING_BYTES
