"""Records that the broker refuses, brokers that die or freeze, and a client whose task has died."""

from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest

from sdml_kafka.errors import (
    BrokerUnreachable,
    PayloadTooLarge,
    ProducerFailed,
    RecordRefused,
    SendFailed,
)
from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer
from sdml_kafka.transport.interfaces.producer import Message, ProducerSpent
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.aiokafka_producer_world import AiokafkaWorld
from tests.support.contracts.producer_world import CALL_S, Outcomes, started
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


async def test_a_broker_that_does_not_answer_is_a_clear_error_in_time(
    world: AiokafkaWorld,
) -> None:
    await world.go_away()
    try:
        with anyio.fail_after(0.5 + BUSY_S):
            async with world.connect()() as producer:
                with pytest.raises(BrokerUnreachable, match=r"within 0\.5 s"):
                    await producer.start(0.5)
    finally:
        await world.come_back()


async def test_a_record_over_the_limit_of_its_topic_spoils_no_other(
    world: AiokafkaWorld, outcomes: Outcomes
) -> None:
    """The broker refuses whole batches, and counts the numbers of the batches that it has taken."""
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
        (error,) = outcomes.reported[number]
        if number in (0, 100, 299):
            assert isinstance(error, PayloadTooLarge)
            assert not error.in_doubt
        else:
            assert error is None
    arrived = [each.value for each in await world.records(TopicPartition(topic, 0))]
    expected = [b"%d" % number for number in range(300) if number not in (0, 100, 299)]
    assert sorted(value or b"" for value in arrived) == sorted(expected)


@pytest.mark.parametrize("options", [{}, {"linger_ms": 5}, {"max_batch_size": 20_000}])
async def test_records_keep_their_order_though_batches_are_refused(
    world: AiokafkaWorld, outcomes: Outcomes, options: dict[str, Any]
) -> None:
    """What is left of a refused batch goes before the batches that were queued meanwhile."""
    topic = world.name()
    await world.create_topic(topic, 1, **{"max.message.bytes": "5000"})
    async with started(world.connect(**options)) as producer:
        for number in range(600):
            value = b"%d " % number + bytes(6000 if number % 100 == 50 else 200)
            producer.send(Message(topic, value), outcomes.of(number))
            if number % 20 == 0:
                await anyio.sleep(0.002)
        assert await producer.flush(CALL_S)
    refused = [number for number in range(600) if outcomes.reported[number] != [None]]
    assert refused == [50, 150, 250, 350, 450, 550]
    records = await world.records(TopicPartition(topic, 0))
    arrived = [int((each.value or b"").split()[0]) for each in records]
    assert arrived == [number for number in range(600) if number not in refused]


async def test_a_refusal_after_an_attempt_without_an_answer_has_the_producer_replaced(
    world: AiokafkaWorld, outcomes: Outcomes
) -> None:
    """The first attempt may be in the log, so that the batch's numbers cannot be given back."""
    topic, other = world.name(), world.name()
    await world.create_topic(topic, 1, **{"message.timestamp.before.max.ms": "500"})
    await world.create_topic(other, 1)
    async with started(world.connect(request_timeout_ms=1000)) as producer:
        producer.send(Message(topic, b"in time"), outcomes.of("in time"))
        assert await outcomes.one("in time") is None
        await world.go_away()
        try:
            producer.send(Message(topic, b"late"), outcomes.of("late"))
            await anyio.sleep(2.0)  # longer than the client waits for an answer
        finally:
            await world.come_back()
        late = await outcomes.one("late")
        assert isinstance(late, RecordRefused)
        assert late.in_doubt
        with anyio.fail_after(CALL_S), pytest.raises(ProducerSpent, match=topic):
            await producer.watch()
        producer.send(Message(topic, b"spent"), outcomes.of("spent"))
        producer.send(Message(other, b"well"), outcomes.of("well"))
        assert await outcomes.one("well") is None
        error = await outcomes.one("spent")
        assert type(error) is SendFailed
        assert not error.in_doubt


@pytest.mark.one_loop
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
            await until(lambda: not producer.connected, CALL_S)
            await anyio.to_thread.run_sync(world.kafka.restart)
            await outcomes.wait_for(count + 100)
            tasks.cancel_scope.cancel()
        assert await producer.flush(CALL_S)
        assert producer.connected
    assert len(outcomes.reported) == count
    assert all(reported == [None] for reported in outcomes.reported.values())
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
            await until(lambda: producer.waiting <= 4)
        finally:
            await world.come_back()
        assert await producer.flush(CALL_S)
    records = await world.records(TopicPartition(topic, 0))
    assert len(records) == len(outcomes.reported) <= 5


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
        with anyio.fail_after(CALL_S), pytest.raises(ProducerFailed, match="sender task has died"):
            await producer.watch()


@pytest.mark.parametrize("acks", [0, 1, "all"])
async def test_an_error_of_the_socket_costs_one_batch_and_no_later_record(
    world: AiokafkaWorld,
    topic: str,
    outcomes: Outcomes,
    monkeypatch: pytest.MonkeyPatch,
    acks: int | str,
) -> None:
    """A request without acknowledgements raises what the socket does, which is no KafkaError."""
    send = AIOKafkaClient.send
    failing = True

    async def fail_once(client: AIOKafkaClient, node: int, request: Any, **options: Any) -> Any:
        nonlocal failing
        if isinstance(request, ProduceRequest) and failing:
            failing = False
            raise ConnectionResetError("Connection lost")
        return await send(client, node, request, **options)

    monkeypatch.setattr(AIOKafkaClient, "send", fail_once)
    options = {} if acks == "all" else {"acks": acks, "enable_idempotence": False}
    async with started(world.connect(**options)) as producer:
        producer.send(Message(topic, b"lost", partition=0), outcomes.of("lost"))
        error = await outcomes.one("lost")
        assert isinstance(error, SendFailed)
        assert error.in_doubt
        if acks == "all":  # nobody knows which numbers the broker expects
            with anyio.fail_after(CALL_S), pytest.raises(ProducerSpent, match=topic):
                await producer.watch()
        else:
            producer.send(Message(topic, b"well", partition=0), outcomes.of("well"))
            assert await outcomes.one("well") is None
