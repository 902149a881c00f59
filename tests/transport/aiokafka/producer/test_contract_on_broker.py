"""The aiokafka adapter keeps the contract of producers, on a real Kafka; and what only a real one
can show."""

import asyncio
import gc
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sdml_kafka.errors import (
    BrokerUnreachable,
    ConfigurationError,
    PayloadTooLarge,
    ProducerFailed,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer.adapter import connect
from sdml_kafka.transport.aiokafka.factory import default_producer_factory
from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer
from sdml_kafka.transport.asyncio_loop import Home, open_home
from sdml_kafka.transport.interfaces import (
    Connect,
    ConnectProducer,
    Message,
    Record,
    TopicPartition,
)
from tests.support.contracts.producer import ProducerContract
from tests.support.contracts.producer_world import CALL_S, Outcomes, ProducerWorld, started
from tests.support.load_on_broker import delete_topic, topics_of

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


class AiokafkaWorld:
    def __init__(self, home: Home, admin: AIOKafkaAdminClient, kafka: EmbeddedKafka) -> None:
        self._home = home
        self._admin = admin
        self.kafka = kafka
        self.servers = kafka.bootstrap_servers

    def connect(self, **options: Any) -> ConnectProducer:
        return connect_producer(default_producer_factory(self.servers, options))

    def connect_consumer(self, group: str) -> Connect:
        return connect(partial(AIOKafkaConsumer, bootstrap_servers=self.servers, group_id=group))

    def name(self) -> str:
        return f"producer-{uuid4().hex}"

    async def create_topic(self, topic: str, partitions: int, **config: str) -> None:
        async def create() -> None:
            await self._admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])

        await self._home.call(create)

    async def records(self, partition: TopicPartition) -> list[Record]:
        async def read() -> list[Record]:
            place = ClientPartition(*partition)
            consumer = AIOKafkaConsumer(bootstrap_servers=self.servers)
            await consumer.start()
            try:
                consumer.assign([place])
                consumer.seek(place, 0)
                end = (await consumer.end_offsets([place]))[place]
                found: list[Record] = []
                while await consumer.position(place) < end:
                    found += (await consumer.getmany(place, timeout_ms=200)).get(place, ())
                return found
            finally:
                await consumer.stop()

        return await self._home.call(read)

    async def go_away(self) -> None:
        self.kafka.freeze()

    async def come_back(self) -> None:
        self.kafka.thaw()


@pytest.fixture(scope="module")
def kafka() -> Generator[EmbeddedKafka]:
    """One that creates no topics by itself; a test may kill it, and has to leave it running."""
    with EmbeddedKafka(properties={"auto.create.topics.enable": "false"}) as kafka:
        yield kafka


@asynccontextmanager
async def world_of(kafka: EmbeddedKafka) -> AsyncGenerator[AiokafkaWorld]:
    async def start() -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        return admin

    async with open_home() as home:
        admin = await home.call(start)
        try:
            yield AiokafkaWorld(home, admin, kafka)
        finally:
            await home.call(admin.close)


@pytest.fixture
async def world(anyio_backend: object, kafka: EmbeddedKafka) -> AsyncGenerator[AiokafkaWorld]:
    async with world_of(kafka) as world:
        yield world


@pytest.fixture
async def topic(world: AiokafkaWorld) -> str:
    topic = world.name()
    await world.create_topic(topic, 2)
    return topic


@pytest.fixture
def outcomes(anyio_backend: object) -> Outcomes:
    return Outcomes()


async def until(condition: Callable[[], object]) -> None:
    """Nobody tells of what happens beside the program."""
    with anyio.fail_after(CALL_S):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.01)


class TestAiokafkaProducer(ProducerContract):
    @pytest.fixture
    def world(self, world: ProducerWorld) -> ProducerWorld:
        return world


# -- starting ----------------------------------------------------------------------------


async def test_a_broker_that_is_not_there_is_a_clear_error_at_once(free_tcp_port: int) -> None:
    connect = connect_producer(default_producer_factory(f"127.0.0.1:{free_tcp_port}", {}))
    async with connect() as producer:
        with anyio.fail_after(2.0), pytest.raises(BrokerUnreachable, match="Check the address"):
            await producer.start(CALL_S)
        assert not producer.connected


async def test_a_broker_that_does_not_answer_is_a_clear_error_in_time(
    world: AiokafkaWorld,
) -> None:
    await world.go_away()
    try:
        with anyio.fail_after(5.0):
            async with world.connect()() as producer:
                with pytest.raises(BrokerUnreachable, match=r"within 0\.5 s"):
                    await producer.start(0.5)
    finally:
        await world.come_back()


def started_already(servers: str) -> object:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    producer._closed = True
    return producer


@pytest.mark.parametrize(
    ("build", "why"),
    [
        pytest.param(lambda servers: "text", "not str", id="text"),
        pytest.param(
            lambda servers: AIOKafkaProducer(bootstrap_servers=servers, transactional_id="id"),
            "transactional_id",
            id="transactional",
        ),
        pytest.param(
            lambda servers: AIOKafkaProducer(bootstrap_servers=servers, value_serializer=repr),
            "value_serializer",
            id="serializer",
        ),
        pytest.param(started_already, "already started", id="in use"),
    ],
)
async def test_what_a_factory_must_not_return_is_refused(
    build: Callable[[str], object], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        async with connect_producer(lambda: build("127.0.0.1:9"))():
            pytest.fail("entered")
    gc.collect()  # an unclosed producer would warn


async def test_options_that_aiokafka_does_not_take_are_named_without_their_values() -> None:
    factory = default_producer_factory("127.0.0.1:9", {"sasl_plain_passwrod": "secret"})
    with pytest.raises(ConfigurationError, match="sasl_plain_passwrod") as caught:
        async with connect_producer(factory)():
            pytest.fail("entered")
    assert "secret" not in str(caught.value)


# -- limits of the broker ----------------------------------------------------------------


async def test_a_record_over_the_limit_of_its_topic_spoils_no_other(
    world: AiokafkaWorld, outcomes: Outcomes
) -> None:
    """The broker refuses whole batches, and counts the numbers of those that it has taken."""
    topic = world.name()
    await world.create_topic(topic, 1, **{"max.message.bytes": "5000"})
    async with started(world.connect()) as producer:
        for number in range(300):
            value = bytes(6000) if number in (0, 100, 299) else b"%d" % number
            producer.send(Message(topic, value), outcomes.of(number))
            if number in (0, 150):
                await outcomes.one(0)
        assert await producer.flush(CALL_S)
    for number in range(300):
        (error,) = outcomes.told[number]
        if number in (0, 100, 299):
            assert isinstance(error, PayloadTooLarge)
            assert not error.in_doubt
        else:
            assert error is None
    arrived = [each.value for each in await world.records(TopicPartition(topic, 0))]
    expected = [b"%d" % number for number in range(300) if number not in (0, 100, 299)]
    assert sorted(value or b"" for value in arrived) == sorted(expected)


async def test_a_topic_that_the_broker_creates_is_waited_for(
    embedded_kafka: EmbeddedKafka, outcomes: Outcomes
) -> None:
    topic = f"created-{uuid4().hex}"
    factory = default_producer_factory(embedded_kafka.bootstrap_servers, {})
    async with started(connect_producer(factory)) as producer:
        for number in range(10):
            producer.send(Message(topic, b"%d" % number, partition=0), outcomes.of(number))
        await outcomes.wait_for(10)
    assert all(told == [None] for told in outcomes.told.values())
    assert list(outcomes.told) == list(range(10))


# -- outages -----------------------------------------------------------------------------


async def test_a_broker_that_dies_and_comes_back_gets_each_record_once(
    world: AiokafkaWorld, topic: str, outcomes: Outcomes
) -> None:
    count = 0
    async with started(world.connect()) as producer:

        async def keep_sending() -> None:
            nonlocal count
            while True:
                for _ in range(20):
                    value = b"%d" % count
                    producer.send(Message(topic, value), outcomes.of(value))
                    count += 1
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_sending)
            await outcomes.wait_for(100)
            await anyio.to_thread.run_sync(world.kafka.kill)
            await until(lambda: not producer.connected)
            await anyio.to_thread.run_sync(world.kafka.restart)
            await outcomes.wait_for(count + 100)
            tasks.cancel_scope.cancel()
        assert await producer.flush(CALL_S)
        assert producer.connected
    assert len(outcomes.told) == count
    assert all(told == [None] for told in outcomes.told.values())
    arrived = [
        each.value or b""
        for number in (0, 1)
        for each in await world.records(TopicPartition(topic, number))
    ]
    assert sorted(arrived) == sorted(b"%d" % number for number in range(count))


async def test_what_waits_behind_a_full_batch_is_dropped_when_it_is_not_wanted_any_more(
    world: AiokafkaWorld, topic: str, outcomes: Outcomes
) -> None:
    wanted = True
    async with started(world.connect(max_batch_size=1000)) as producer:
        producer.send(Message(topic, b"first", partition=0), outcomes.of("first"))
        await outcomes.one("first")
        await world.go_away()
        try:
            for number in range(50):
                message = Message(topic, b"%d" % number + bytes(600), partition=0)
                producer.send(message, outcomes.of(number), lambda: wanted)
            assert not await producer.flush(0.2)
            wanted = False
            await anyio.sleep(0.6)  # so long may pass before it looks
        finally:
            await world.come_back()
        assert await producer.flush(CALL_S)
    records = await world.records(TopicPartition(topic, 0))
    assert len(records) == len(outcomes.told) <= 5


async def test_a_producer_that_waits_no_longer_tells_what_is_in_doubt(
    world: AiokafkaWorld, topic: str, outcomes: Outcomes
) -> None:
    options = {"enable_idempotence": False, "request_timeout_ms": 1000}
    async with started(world.connect(**options)) as producer:
        producer.send(Message(topic, b"first"), outcomes.of("first"))
        await outcomes.one("first")
        await world.go_away()
        try:
            producer.send(Message(topic, b"second"), outcomes.of("second"))
            error = await outcomes.one("second")
        finally:
            await world.come_back()
    assert isinstance(error, SendFailed)
    assert error.in_doubt


async def test_a_dead_task_of_the_client_ends_the_watch(world: AiokafkaWorld, topic: str) -> None:
    built: list[AIOKafkaProducer] = []

    def factory() -> AIOKafkaProducer:
        built.append(AIOKafkaProducer(bootstrap_servers=world.servers, enable_idempotence=True))
        return built[-1]

    async with started(connect_producer(factory)) as producer:
        task = built[0]._sender._sender_task
        task.get_loop().call_soon_threadsafe(task.cancel)
        with anyio.fail_after(5.0), pytest.raises(ProducerFailed, match="sender task has died"):
            await producer.watch()


# -- nothing is left behind --------------------------------------------------------------


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
    for after_s in (0.0, 0.001, 0.004, 0.01, 0.03, 0.1):
        for away_after_s in (0.0, 0.02) if is_away else (None,):
            with anyio.move_on_after(after_s + 0.1 * is_away):
                await use_it_all(world, topic, away_after_s)
            if is_away:
                await world.come_back()
    gc.collect()
    await until(lambda: not living(world.kafka, anyio_backend_name) - before)
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
                producer.send(Message(topic, bytes(600)), outcomes.of(number))
            assert not await producer.flush(0.5)
            began = anyio.current_time()
            await producer.close(0.5)
            assert anyio.current_time() - began < 4.0
            await outcomes.wait_for(51)
        finally:
            await anyio.to_thread.run_sync(world.kafka.restart)
    assert {type(error) for number in range(50) for error in outcomes.told[number]} == {SendFailed}
    gc.collect()
    await until(lambda: not living(world.kafka, anyio_backend_name) - before)
    assert not [each for each in caplog.records if each.name == "asyncio"]


def test_the_loggers_are_quiet_only_while_a_producer_is_open() -> None:
    assert not logging.getLogger("aiokafka.producer.sender").filters


async def test_a_topic_that_is_deleted_under_way_is_missing_then(
    world: AiokafkaWorld, topic: str, outcomes: Outcomes
) -> None:
    async with started(world.connect(request_timeout_ms=1000)) as producer:
        producer.send(Message(topic, b""), outcomes.of("before"))
        assert await outcomes.one("before") is None
        await producer.delete_topic(topic, CALL_S)
        for number in range(10):
            producer.send(Message(topic, b""), outcomes.of(number))
        await outcomes.wait_for(11)
    assert {type(error) for number in range(10) for error in outcomes.told[number]} == {
        TopicMissing
    }


@pytest.mark.parametrize("looked_for", [False, True])
async def test_what_waits_for_a_topic_that_is_gone_is_told_long_before_aiokafka_gives_up(
    world: AiokafkaWorld, outcomes: Outcomes, caplog: pytest.LogCaptureFixture, *, looked_for: bool
) -> None:
    topic = world.name()
    if not looked_for:  # it sees all that are there as it starts
        await world.create_topic(topic, 2)
    async with started(world.connect()) as producer:
        if looked_for:
            await world.create_topic(topic, 2)
        producer.send(Message(topic, b""), outcomes.of("before"))
        assert await outcomes.one("before") is None
        await delete_topic(world.servers, topic)
        for number in range(10):
            producer.send(Message(topic, b""), outcomes.of(number))
        with anyio.fail_after(10):  # aiokafka itself would hold them for 15
            await outcomes.wait_for(11)
        other = world.name()
        await world.create_topic(other, 1)
        producer.send(Message(other, b""), outcomes.of("after"))
        assert await outcomes.one("after") is None
        await world.create_topic(topic, 2)
        producer.send(Message(topic, b""), outcomes.of("anew"))
        assert await outcomes.one("anew") is None
    told = {type(error) for number in range(10) for error in outcomes.told[number]}
    assert told == {TopicMissing}
    assert len(caplog.records) < 20


class TestWhereTheBrokerCreatesTopics:
    @pytest.fixture
    async def willing(
        self, anyio_backend: object, embedded_kafka: EmbeddedKafka
    ) -> AsyncGenerator[AiokafkaWorld]:
        async with world_of(embedded_kafka) as world:
            yield world

    async def test_one_that_is_sent_to_is_created_and_comes_not_back_once_it_is_deleted(
        self, willing: AiokafkaWorld, outcomes: Outcomes
    ) -> None:
        topics = [willing.name() for _ in range(3)]
        async with started(willing.connect()) as producer:
            for topic in topics:
                producer.send(Message(topic, b""), outcomes.of(topic))
                assert await outcomes.one(topic) is None
                # To look for the next one asks for the metadata of all.
                await delete_topic(willing.servers, topic)
            assert not set(topics) & await topics_of(willing.servers)

    async def test_not_by_a_producer_that_is_not_to(
        self, willing: AiokafkaWorld, outcomes: Outcomes
    ) -> None:
        topic = willing.name()
        async with willing.connect()() as producer:
            await producer.start(CALL_S, creates_topics=False)
            producer.send(Message(topic, b""), outcomes.of(0))
            error = await outcomes.one(0)
            assert topic not in await topics_of(willing.servers)
        assert type(error) is TopicMissing
        assert "who reads it has to create it" in str(error)
