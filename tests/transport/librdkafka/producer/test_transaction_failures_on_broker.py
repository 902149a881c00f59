"""What becomes of transactions when brokers die, freeze or refuse batches."""

import threading
from typing import Any

import anyio
import psutil
import pytest

from sdml_kafka.errors import (
    BrokerUnreachable,
    PayloadTooLarge,
    ProducerFailed,
    SendFailed,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.checkpoints import cancelled_at_each_checkpoint
from tests.support.contracts.consumer_world import seat, share_out
from tests.support.contracts.librdkafka_transactions_world import LibrdkafkaTransactionsWorld
from tests.support.contracts.transactions import read
from tests.support.contracts.transactions_world import Failures, offsets_of, started
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]
CALL_S = 10.0
SHORT_S = 0.5


@pytest.fixture
def world(strict_kafka: EmbeddedKafka) -> LibrdkafkaTransactionsWorld:
    return LibrdkafkaTransactionsWorld(strict_kafka, "consumer")


@pytest.fixture
async def topic(world: LibrdkafkaTransactionsWorld) -> str:
    topic = world.name()
    await world.create_topic(topic, 1)
    return topic


def threads() -> list[str]:
    return sorted(each.name for each in threading.enumerate() if "sdml-kafka" in each.name)


async def test_a_start_without_a_broker_is_a_clear_error_in_time(
    world: LibrdkafkaTransactionsWorld,
) -> None:
    await world.go_away()
    try:
        with anyio.fail_after(SHORT_S + BUSY_S):
            async with world.connect()() as producer:
                with pytest.raises(BrokerUnreachable, match=r"within 0\.5 s"):
                    await producer.start(SHORT_S)
                with pytest.raises(ProducerFailed):
                    await producer.commit(None, SHORT_S)
    finally:
        await world.come_back()


@pytest.mark.soak
async def test_a_commit_survives_a_broker_that_dies_and_comes_back(
    world: LibrdkafkaTransactionsWorld, topic: str
) -> None:
    failures = Failures()
    async with started(world.connect()) as producer:
        failures.send(producer, *(Message(topic, b"%d" % number) for number in range(10)))
        await anyio.to_thread.run_sync(world.kafka.kill)
        with pytest.raises(TransactionInDoubt):
            await producer.commit(None, SHORT_S)
        await anyio.to_thread.run_sync(world.kafka.restart)
        await producer.commit(None, 3 * CALL_S)
    await read(world, TopicPartition(topic, 0), [b"%d" % number for number in range(10)])
    assert not failures.errors


async def test_offsets_and_the_end_keep_their_time_while_a_broker_is_frozen(
    world: LibrdkafkaTransactionsWorld, topic: str
) -> None:
    p0, failures = TopicPartition(topic, 0), Failures()
    before = threads()
    async with seat(world.connect_consumer(world.name()), topic) as member:
        await share_out(1, member)
        async with started(world.connect()) as producer:
            failures.send(producer, Message(topic, b"one"))
            assert await producer.flush(CALL_S)
            offsets = await offsets_of(member, {p0: 0})
            await world.go_away()
            try:
                with anyio.fail_after(SHORT_S + BUSY_S):
                    with pytest.raises((TransactionInDoubt, TransactionFailed)):
                        await producer.commit(offsets, SHORT_S)
                with anyio.fail_after(SHORT_S + BUSY_S):
                    await producer.close(SHORT_S)
            finally:
                await world.come_back()
    # The broker aborts what is left open, and the thread that still waits for it ends.
    await until(lambda: threads() == before, 30)


@pytest.mark.parametrize(
    "is_large",
    [
        pytest.param(True, id="one is too large"),
        pytest.param(False, id="all fit", marks=pytest.mark.soak),
    ],
)
async def test_a_batch_that_the_broker_refuses_is_sent_anew_record_by_record(
    world: LibrdkafkaTransactionsWorld, is_large: bool
) -> None:
    topic, failures = world.name(), Failures()
    p0 = TopicPartition(topic, 0)
    config: dict[str, Any] = {"max.message.bytes": "3000"}
    await world.create_topic(topic, 1, **config)
    messages = [Message(topic, b"%d" % number + bytes(1000)) for number in range(20)]
    too_large = Message(topic, bytes(5000))
    # Records that wait for each other are in one batch.
    async with started(world.connect(linger_ms=1000)) as producer:
        failures.send(producer, *messages, *([too_large] if is_large else []))
        with pytest.raises(TransactionFailed):
            await producer.commit(None, CALL_S)
        assert {type(each) for each in failures.errors} == {SendFailed}
        await producer.abort(CALL_S)
        failures.errors.clear()

        if is_large:
            failures.send(producer, *messages, too_large)
            with pytest.raises(TransactionFailed) as raised:
                await producer.commit(None, CALL_S)
            assert isinstance(raised.value.__cause__, PayloadTooLarge)
            blamed = [each for each in failures.errors if isinstance(each, PayloadTooLarge)]
            assert len(blamed) == 1
            await producer.abort(CALL_S)
            failures.errors.clear()

        failures.send(producer, *messages)
        await producer.commit(None, CALL_S)
        failures.send(producer, Message(topic, b"behind"))
        await producer.commit(None, CALL_S)
        assert not failures.errors
    await until(lambda: "sdml-kafka-topics" not in threads())
    await read(world, p0, [*(each.value for each in messages), b"behind"])


async def test_more_records_than_the_client_has_room_for_keep_their_order(
    world: LibrdkafkaTransactionsWorld, topic: str
) -> None:
    failures = Failures()
    async with started(world.connect(queue_buffering_max_messages=100)) as producer:
        for _ in range(2):
            failures.send(producer, *(Message(topic, b"%d" % number) for number in range(1000)))
            await producer.commit(None, CALL_S)
    await read(world, TopicPartition(topic, 0), 2 * [b"%d" % number for number in range(1000)])


async def test_what_waits_at_an_abort_gets_into_no_other_transaction(
    world: LibrdkafkaTransactionsWorld, topic: str
) -> None:
    failures = Failures()
    async with started(world.connect(queue_buffering_max_messages=100)) as producer:
        failures.send(producer, Message(topic, b"the topic is looked for"))
        await producer.abort(CALL_S)
        failures.send(producer, Message(topic, b"one"))
        await producer.commit(None, CALL_S)
        failures.send(producer, *(Message(topic, b"aborted") for _ in range(500)))
        await producer.abort(CALL_S)
        failures.send(producer, Message(topic, b"two"))
        await producer.commit(None, CALL_S)
    await read(world, TopicPartition(topic, 0), [b"one", b"two"])


async def test_a_transaction_that_is_cancelled_anywhere_happens_as_a_whole_or_not(
    world: LibrdkafkaTransactionsWorld, topic: str
) -> None:
    p0, before, sockets = TopicPartition(topic, 0), threads(), connections()
    done = list[bytes]()

    async def transact() -> None:
        number = b"%d" % len(done)
        done.append(number)
        async with world.connect("cancelled")() as producer:
            await producer.start(CALL_S)
            for half in (b"a", b"b"):
                producer.send(Message(topic, number + half), lambda _: None)
            await producer.flush(CALL_S)
            await producer.commit(None, CALL_S)

    assert await cancelled_at_each_checkpoint(transact) >= 4
    async with started(world.connect("cancelled")):
        pass  # which ends what was left
    found = await world.values(p0)
    pairs = [each[:-1] for each in found[::2] if each is not None]
    assert found == [half for pair in pairs for half in (pair + b"a", pair + b"b")]
    assert pairs[-1] == done[-1]
    await until(lambda: threads() == before, CALL_S)
    await until(lambda: connections() <= sockets, CALL_S)


def connections() -> int:
    found: list[Any] = psutil.Process().net_connections()
    return len(found)
