"""What hooks see of a producer."""

import anyio
import pytest

from sdml_kafka import KafkaProducer, SendFailed, TopicMissing, TopicPartition
from sdml_kafka.testing import Transport
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.seeing_hook import CURRENT, SeeingHook
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_a_record_gets_headers_and_its_outcome() -> None:
    hook, broker = SeeingHook(), MemoryBroker({"topic": 1})
    async with KafkaProducer(transport=broker.connect_producer(), hooks=[hook]) as producer:
        token = CURRENT.set("a request")
        sent = await producer.send("topic", b"x", key=b"k", headers=[("own", b"1")])
        CURRENT.reset(token)
        waiting = await producer.send_soon("topic", b"y")
        await waiting.sent()
    (message, current), (_, other) = hook.sent
    assert (current, other) == ("a request", "nothing")
    assert (message.origin.kind, message.purpose) == ("producer", "send")
    assert (message.topic, message.key, message.value) == ("topic", b"k", b"x")
    assert (message.partition, message.offset) == (sent.partition, sent.offset)
    assert [error for _, error in hook.outcomes] == [None, None]
    first, _ = broker.records(TopicPartition("topic", 0))
    assert list(first.headers) == [("own", b"1"), ("seen", b"1")]


async def test_a_record_that_is_not_sent() -> None:
    hook, broker = SeeingHook(), MemoryBroker({"topic": 1})
    async with KafkaProducer(transport=broker.connect_producer(), hooks=[hook]) as producer:
        await producer.send("topic", b"")
        broker.hold_sends()
        with pytest.raises(SendFailed):
            await producer.send("topic", b"late", timeout_s=1.0)
        with anyio.move_on_after(1.0):
            await producer.send("topic", b"cancelled")
        broker.release_sends()
    _, (_, late), (_, cancelled) = hook.outcomes
    assert isinstance(late, SendFailed)
    assert isinstance(cancelled, SendFailed)
    assert cancelled.in_doubt


async def test_a_record_that_never_went_out_is_sent_again_as_it_was() -> None:
    hook, broker = SeeingHook(), MemoryBroker({"topic": 1})
    async with KafkaProducer(transport=broker.connect_producer(), hooks=[hook]) as producer:
        await producer.send("topic", b"")
        broker.fail_sends(SendFailed("not yet"))
        await producer.send("topic", b"x")
    assert len(hook.sent) == 2
    assert [error for _, error in hook.outcomes] == [None, None]
    record = broker.records(TopicPartition("topic", 0))[-1]
    assert list(record.headers) == [("seen", b"2")]


async def test_a_broker_that_is_gone_and_back() -> None:
    hook, broker = SeeingHook(), MemoryBroker({"topic": 1})
    async with KafkaProducer(transport=broker.connect_producer(), hooks=[hook]) as producer:
        await producer.send("topic", b"")
        broker.down()
        await anyio.sleep(3)
        broker.up()
        await anyio.sleep(3)
    assert len(hook.of("broker_gone")) == len(hook.of("broker_back")) == 1
    assert hook.of("broker_back")[0].seconds >= 1.0


async def test_records_of_a_transaction_have_their_outcome_once_the_broker_has_them() -> None:
    hook, broker = SeeingHook(), MemoryBroker({"topic": 1})
    transactions = broker.connect_transactions(transactional_id="id")
    producers = broker.connect_producer(), "memory", transactions
    transport = Transport(broker.connect("group"), *producers)
    async with KafkaProducer(transport=transport, transactional_id="id", hooks=[hook]) as producer:
        async with producer.transaction() as transaction:
            sent = await transaction.send("topic", b"x")
            await transaction.send_soon("topic", b"y")
        with pytest.raises(TopicMissing):
            async with producer.transaction() as transaction:
                await transaction.send("missing", b"")
    assert [message.offset for message, _ in hook.outcomes] == [sent.offset, sent.offset + 1, None]
    assert [type(error) for _, error in hook.outcomes] == [type(None), type(None), TopicMissing]
    first, _ = broker.records(TopicPartition("topic", 0))
    assert list(first.headers) == [("seen", b"1")]
