"""Fetch sessions with a real Kafka: what they name, and that they lose and delay nothing."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import anyio
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import FetchSessionIdNotFound, InvalidFetchSessionEpoch, for_code
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer import fetch_sessions
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.aiokafka_consumer_world import aiokafka_world
from tests.support.contracts.consumer import Contract
from tests.support.contracts.consumer_world import (
    PATIENCE_S,
    Seat,
    World,
    poll_until,
    releasing,
    seat,
    share_out,
)
from tests.support.kafka_from_outside import on_asyncio

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]

PARTITIONS = fetch_sessions.MIN_PARTITIONS


class Fetches:
    """Notes how many partitions each fetch names."""

    def __init__(self) -> None:
        self.named: list[int] = []
        self.sessions: set[int] = set()

    def note(self, request: Any) -> None:
        self.named.append(sum(len(entries) for _, entries in request.topics))
        self.sessions.add(request.session_id)


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> Fetches:
    noted, encode = Fetches(), FetchRequest_v11.encode

    def noting(self: FetchRequest_v11) -> bytes:
        noted.note(self)
        encoded: bytes = encode(self)
        return encoded

    monkeypatch.setattr(FetchRequest_v11, "encode", noting)
    return noted


@pytest.fixture(scope="module")
def roomless_kafka() -> Iterator[EmbeddedKafka]:
    """A Kafka that has no room for fetch sessions."""
    no_room = {"max.incremental.fetch.session.cache.slots": "0"}
    with EmbeddedKafka(properties=no_room) as kafka:
        yield kafka


@pytest.fixture
async def roomless_world(
    anyio_backend: object, roomless_kafka: EmbeddedKafka
) -> AsyncGenerator[World]:
    async with aiokafka_world(roomless_kafka.bootstrap_servers) as world:
        yield world


@pytest.fixture
async def mortal_world(anyio_backend: object, mortal_kafka: EmbeddedKafka) -> AsyncGenerator[World]:
    async with aiokafka_world(mortal_kafka.bootstrap_servers) as world:
        yield world


async def new_topic(world: World) -> str:
    topic = world.name()
    await world.create_topic(topic, PARTITIONS)
    return topic


async def poll_for(seconds: float, member: Seat) -> None:
    with anyio.move_on_after(seconds):
        while True:
            await member.poll()


async def reads(world: World, member: Seat, topic: str, value: bytes) -> None:
    """Write a value into each partition, and see it arrive once."""
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    for partition in partitions:
        await world.produce(partition, value)
    await poll_until(lambda: all(value in member.values(each) for each in partitions), member)
    assert all(member.values(each).count(value) == 1 for each in partitions)


async def test_an_idle_member_names_no_partition_and_reads_what_comes(
    world: World, fetches: Fetches
) -> None:
    topic = await new_topic(world)
    async with seat(world.connect(world.name()), topic) as member:
        await share_out(PARTITIONS, member)
        await reads(world, member, topic, b"first")
        await poll_for(1.0, member)
        fetches.named.clear()
        await poll_for(2.0, member)
        assert len(fetches.named) > 5
        assert not sum(fetches.named)
        await reads(world, member, topic, b"second")
        await poll_until(
            lambda: member.health and set(member.health.high_watermarks.values()) == {2}, member
        )


async def test_the_ends_of_an_idle_member_are_known_as_of_now(
    world: World, fetches: Fetches
) -> None:
    topic = await new_topic(world)
    async with seat(world.connect(world.name()), topic) as member:
        await share_out(PARTITIONS, member)
        await poll_for(2.0, member)
        assert member.health is not None
        assert len(member.health.mark_ages_s) == PARTITIONS
        await poll_until(
            lambda: member.health and max(member.health.mark_ages_s.values()) < 1.5, member
        )


async def test_what_is_left_out_comes_back_with_its_records(world: World, fetches: Fetches) -> None:
    topic = await new_topic(world)
    out = TopicPartition(topic, 3)
    async with seat(world.connect(world.name()), topic) as member:
        await share_out(PARTITIONS, member)
        rest = member.partitions - {out}
        with anyio.move_on_after(1.0):
            while True:
                await member.poll(rest)
        await world.produce(out, b"a", b"b")
        await world.produce(TopicPartition(topic, 4), b"c")
        with anyio.fail_after(PATIENCE_S):
            while not member.values(TopicPartition(topic, 4)):
                await member.poll(rest)
        assert not member.values(out)
        await poll_until(lambda: member.values(out) == [b"a", b"b"], member)


async def test_a_second_member_gets_its_share_of_an_idle_one(
    world: World, fetches: Fetches
) -> None:
    topic, group = await new_topic(world), world.name()
    async with seat(world.connect(group), topic) as first:
        await share_out(PARTITIONS, first)
        await poll_for(1.0, first)
        async with seat(world.connect(group), topic) as second, releasing(first, second):
            with anyio.fail_after(PATIENCE_S):
                while not (first.assignment and second.assignment and second.partitions):
                    await first.poll()
                    await second.poll()
            for partition in first.partitions | second.partitions:
                await world.produce(partition, b"after")
            await poll_until(lambda: first.count + second.count == PARTITIONS, first, second)


@pytest.mark.one_loop
async def test_a_broker_that_was_restarted_has_forgotten_the_session(
    mortal_world: World, mortal_kafka: EmbeddedKafka, fetches: Fetches
) -> None:
    topic = await new_topic(mortal_world)
    async with seat(mortal_world.connect(mortal_world.name()), topic) as member:
        await share_out(PARTITIONS, member)
        await reads(mortal_world, member, topic, b"before")
        async with releasing(member):
            await anyio.to_thread.run_sync(mortal_kafka.kill)
            await anyio.to_thread.run_sync(mortal_kafka.restart)
            await mortal_world.produce(TopicPartition(topic, 0), b"after")
            await poll_until(
                lambda: b"after" in member.seen.get(TopicPartition(topic, 0), ()), member
            )


async def error_of_session(kafka: EmbeddedKafka, number: int) -> type[Exception]:
    """Return the error of a fetch in a session, whose epoch is wrong."""

    class Fetch(FetchRequest):  # type: ignore[misc]  # aiokafka is not typed
        def prepare(self, versions: Any) -> Any:
            struct = super().prepare(versions)
            struct.session_id, struct.session_epoch = number, 2**31 - 2
            return struct

    async def ask() -> Any:
        client = AIOKafkaClient(bootstrap_servers=kafka.bootstrap_servers)
        await client.bootstrap()
        try:
            return await client.send(client.get_random_node(), Fetch(0, 0, 0, 0, []))
        finally:
            await client.close()

    error: type[Exception] = for_code((await on_asyncio(ask())).error_code)
    return error


async def test_a_member_that_leaves_ends_its_session(
    world: World, embedded_kafka: EmbeddedKafka, fetches: Fetches
) -> None:
    topic = await new_topic(world)
    async with seat(world.connect(world.name()), topic) as member:
        await share_out(PARTITIONS, member)
        await reads(world, member, topic, b"first")
        await poll_for(0.5, member)
        (number,) = fetches.sessions - {0}
        assert await error_of_session(embedded_kafka, number) is InvalidFetchSessionEpoch
    assert await error_of_session(embedded_kafka, number) is FetchSessionIdNotFound


async def test_without_room_for_a_session_all_is_read_the_long_way(
    roomless_world: World, fetches: Fetches
) -> None:
    topic = await new_topic(roomless_world)
    async with seat(roomless_world.connect(roomless_world.name()), topic) as member:
        await share_out(PARTITIONS, member)
        await reads(roomless_world, member, topic, b"first")
        await reads(roomless_world, member, topic, b"second")
        assert fetches.sessions == {0}


class TestContractInSessions:
    """The parts of the contract that depend on fetches, with a session for each assignment."""

    @pytest.fixture(autouse=True)
    def always(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fetch_sessions, "MIN_PARTITIONS", 1)

    @pytest.fixture
    async def strict_world(
        self, anyio_backend: object, strict_kafka: EmbeddedKafka
    ) -> AsyncGenerator[World]:
        async with aiokafka_world(strict_kafka.bootstrap_servers) as world:
            yield world

    topic, group = Contract.topic, Contract.group
    test_topic_created_anew = (
        Contract.test_a_topic_created_anew_under_a_member_is_read_from_its_beginning
    )
    test_only_ready = Contract.test_only_ready_partitions_are_read_and_the_others_lose_nothing
    test_waiting_poll = Contract.test_a_waiting_poll_returns_with_the_first_record
    test_max_records = (
        Contract.test_a_poll_brings_at_most_max_records_of_each_and_the_rest_comes_next
    )
    test_ages = Contract.test_the_health_says_when_an_end_was_seen
    test_no_record = Contract.test_the_position_passes_over_what_is_no_record
    test_retention = (
        Contract.test_where_retention_has_deleted_what_comes_next_reading_goes_on_behind_it
    )
    test_rebalance = Contract.test_what_was_not_committed_comes_again_after_a_rebalance
