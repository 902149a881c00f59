"""What a test can order of the twin's transactions, and how their time runs out."""

import anyio
import pytest

from sdml_kafka.errors import (
    BrokerUnreachable,
    ProducerFailed,
    ProducerFenced,
    SendFailed,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.log import Misuse
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.transactions import TransactionalProducer
from tests.support.contracts.consumer_world import poll_until, seat, share_out
from tests.support.contracts.transactions_world import Failures, offsets_of, started

pytestmark = pytest.mark.anyio
P0 = TopicPartition("orders", 0)
CALL_S = 5.0


def values(broker: MemoryBroker) -> list[bytes | None]:
    return [record.value for record in broker.records(P0)]


def send(producer: TransactionalProducer, value: bytes) -> Failures:
    failures = Failures()
    failures.send(producer, Message("orders", value, partition=0))
    return failures


async def test_nobody_reads_beyond_an_open_transaction(broker: MemoryBroker) -> None:
    async with (
        started(broker.connect_transactions()) as producer,
        seat(broker.connect("g", auto_offset_reset="earliest"), "orders") as member,
    ):
        await share_out(2, member)
        member.irregular.add(P0)
        broker.produce("orders", b"before", partition=0)
        send(producer, b"within")
        broker.produce("orders", b"behind", partition=0)
        await poll_until(lambda: member.count == 1, member)
        await member.poll()
        assert member.values(P0) == [b"before"]
        assert member.health is not None
        assert member.health.ends[P0].offset == 1
        assert broker.end_offset(P0) == 3
        await producer.abort(CALL_S)
        await poll_until(lambda: member.position(P0) == 4, member)
        assert values(broker) == [b"before", b"behind"]


async def test_a_commit_fails_as_ordered(broker: MemoryBroker) -> None:
    async with started(broker.connect_transactions()) as producer:
        send(producer, b"one")
        broker.fail_transactions(producer="another")
        broker.fail_transactions(producer="transactions-1")
        with pytest.raises(TransactionFailed):
            await producer.commit(None, CALL_S)
        await producer.abort(CALL_S)
        send(producer, b"two")
        await producer.commit(None, CALL_S)
    assert values(broker) == [b"two"]


@pytest.mark.parametrize("applied", [True, False])
async def test_a_commit_whose_answer_is_lost_is_in_doubt(
    broker: MemoryBroker, applied: bool
) -> None:
    async with started(broker.connect_transactions()) as producer:
        send(producer, b"one")
        broker.fail_transactions(TransactionInDoubt("lost"), applied=applied)
        with pytest.raises(TransactionInDoubt):
            await producer.commit(None, CALL_S)
        assert values(broker) == ([b"one"] if applied else [])
        with pytest.raises(Misuse):
            send(producer, b"two")
        await producer.commit(None, CALL_S)
        send(producer, b"two")
        await producer.commit(None, CALL_S)
    assert values(broker) == [b"one", b"two"]


async def test_a_producer_that_fails_is_spent(broker: MemoryBroker) -> None:
    async with started(broker.connect_transactions()) as producer:
        send(producer, b"one")
        broker.fail_transactions(ProducerFailed("gone"))
        for call in (producer.commit(None, CALL_S), producer.abort(CALL_S)):
            with pytest.raises(ProducerFailed):
                await call
        failures = send(producer, b"two")
        await anyio.sleep(0.1)
        assert [type(each) for each in failures.errors] == [SendFailed]
    async with started(broker.connect_transactions()) as producer:
        broker.fail_producer(producer="transactions-2")
        with pytest.raises(ProducerFailed):
            await producer.commit(None, CALL_S)
    assert values(broker) == []


async def test_a_record_that_fails_as_ordered_spoils_the_transaction(broker: MemoryBroker) -> None:
    async with started(broker.connect_transactions()) as producer:
        broker.fail_sends()
        failures = send(producer, b"one")
        with pytest.raises(TransactionFailed):
            await producer.commit(None, CALL_S)
        assert [type(each) for each in failures.errors] == [SendFailed]
        await producer.abort(CALL_S)


async def test_the_broker_gives_up_on_what_takes_too_long(broker: MemoryBroker) -> None:
    async with started(broker.connect_transactions(timeout_s=0.2)) as producer:
        await anyio.sleep(0.5)  # a transaction begins with its first record
        send(producer, b"one")
        await anyio.sleep(0.5)
        with pytest.raises(ProducerFenced):
            await producer.commit(None, CALL_S)
    assert values(broker) == []


async def test_what_is_never_committed_holds_nobody_up_for_ever(broker: MemoryBroker) -> None:
    connect = broker.connect("g", auto_offset_reset="earliest")
    broker.produce("orders", b"input", partition=0)
    async with seat(connect, "orders") as member:
        await share_out(2, member)
        await poll_until(lambda: member.count == 1, member)
    broker.hold_transactions()
    async with seat(connect, "orders") as member:
        await share_out(2, member)
        offsets = await offsets_of(member, {P0: 1})
        async with started(broker.connect_transactions(timeout_s=1.0)) as producer:
            with pytest.raises(TransactionInDoubt):
                await producer.commit(offsets, 0.1)
    async with seat(connect, "orders") as successor:
        await successor.poll()
        assert not successor.partitions
        await share_out(2, successor)
        await poll_until(lambda: successor.count == 1, successor)
    broker.release_transactions()
    assert broker.committed("g", P0) is None


async def test_a_transaction_waits_for_a_broker_that_is_away(broker: MemoryBroker) -> None:
    async with broker.connect_transactions()() as producer:
        broker.down()
        with pytest.raises(BrokerUnreachable):
            await producer.start(0.1)
        broker.up()
        await producer.start(CALL_S)
        broker.down()
        send(producer, b"one")
        assert not await producer.flush(0.1)
        broker.up()
        assert await producer.flush(CALL_S)
        await producer.commit(None, CALL_S)
    assert values(broker) == [b"one"]
