"""The transactions of KafkaProducer on the twin, in virtual time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    ClientClosed,
    ConfigurationError,
    KafkaProducer,
    ProducerFailed,
    ProducerFenced,
    SendFailed,
    TopicMissing,
    TopicPartition,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.testing import Transport
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

P0 = TopicPartition("topic", 0)


def transport_of(broker: MemoryBroker, id_: str = "id") -> Transport:
    transactions = broker.connect_transactions(transactional_id=id_)
    return Transport(broker.connect("group"), broker.connect_producer(), transactions=transactions)


@asynccontextmanager
async def producing(broker: MemoryBroker, **options: Any) -> AsyncGenerator[KafkaProducer]:
    options = {"transport": transport_of(broker), "transactional_id": "id", **options}
    async with KafkaProducer(**options) as producer:
        yield producer


def values(broker: MemoryBroker) -> list[bytes | None]:
    return [record.value for record in broker.records(P0)]


async def test_records_are_read_once_the_body_has_ended() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        for first in (0, 3):
            async with producer.transaction() as transaction:
                sent = await transaction.send("topic", b"%d" % first)
                assert (sent.partition, sent.offset) == (0, first)
                await transaction.send_soon("topic", b"%d" % (first + 1))
                assert len(values(broker)) == first - first // 3
            assert values(broker)[-2:] == [b"%d" % first, b"%d" % (first + 1)]
        assert (producer.status().committed, producer.status().aborted) == (2, 0)
        assert (producer.status().sent, producer.status().waiting) == (4, 0)


async def test_a_transaction_inside_of_another_one_is_an_error() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        with pytest.raises(ConfigurationError, match="open in this task already"):
            async with producer.transaction() as outer:
                await outer.send("topic", b"outer")
                async with producer.transaction():
                    pass
        async with producer.transaction() as transaction:
            await transaction.send("topic", b"after")
    assert values(broker) == [b"after"]


async def test_a_task_of_a_transaction_that_opens_another_one_does_not_wait_for_ever() -> None:
    broker = MemoryBroker({"topic": 1})

    async def nested() -> None:
        async with producer.transaction():
            pass

    async with producing(broker, timeout_s=5.0) as producer:
        began = anyio.current_time()
        with pytest.raises(ExceptionGroup) as caught:
            async with producer.transaction(), anyio.create_task_group() as tasks:
                tasks.start_soon(nested)
        assert anyio.current_time() - began == pytest.approx(5.0)
        assert caught.group_contains(ConfigurationError, match="within a transaction of this")
        async with producer.transaction() as transaction:
            await transaction.send("topic", b"after")
        assert values(broker) == [b"after"]


async def test_a_task_that_nobody_waits_for_opens_its_own_when_the_one_around_has_ended() -> None:
    broker = MemoryBroker({"topic": 1})

    async def own(value: bytes) -> None:
        async with producer.transaction() as transaction:
            await transaction.send("topic", value)
            await anyio.sleep(7.0)

    async with producing(broker, timeout_s=5.0) as producer, anyio.create_task_group() as tasks:
        around = producer.transaction()
        transaction = await around.__aenter__()
        await transaction.send("topic", b"first")
        tasks.start_soon(own, b"second")
        tasks.start_soon(own, b"third")
        await anyio.sleep(1.0)
        await around.__aexit__(None, None, None)
    assert values(broker)[0] == b"first"
    assert sorted(values(broker)[1:], key=str) == [b"second", b"third"]


async def test_an_error_in_the_body_aborts() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        with pytest.raises(ValueError, match="mine"):
            async with producer.transaction() as transaction:
                await transaction.send("topic", b"aborted")
                raise ValueError("mine")
        with pytest.raises(ConfigurationError, match="over"):
            await transaction.send("topic", b"late")
        with anyio.move_on_after(1) as scope:
            async with producer.transaction() as transaction:
                await transaction.send("topic", b"cancelled")
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        async with producer.transaction() as transaction:
            await transaction.send("topic", b"committed")
        assert (producer.status().committed, producer.status().aborted) == (1, 2)
    assert values(broker) == [b"committed"]


async def test_a_record_that_fails_spoils_the_transaction_also_if_the_body_goes_on() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        with pytest.raises(TopicMissing):
            async with producer.transaction() as transaction:
                await transaction.send("missing", b"")
        with pytest.raises(TransactionFailed) as raised:
            async with producer.transaction() as transaction:
                await transaction.send("topic", b"one")
                with pytest.raises(TopicMissing):
                    await transaction.send("missing", b"")
                with pytest.raises(TransactionFailed):
                    await transaction.send("topic", b"two")
        assert isinstance(raised.value.__cause__, TopicMissing)
        with pytest.raises(TransactionFailed) as raised:
            async with producer.transaction() as transaction:
                await transaction.send_soon("missing", b"")
        assert isinstance(raised.value.__cause__, TopicMissing)
    assert values(broker) == []


async def test_nothing_is_sent_outside_of_a_transaction() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        for send in (producer.send, producer.send_soon):
            with pytest.raises(ConfigurationError, match="transaction"):
                await send("topic", b"")
    with pytest.raises(ClientClosed):
        async with producer.transaction():
            pass
    async with KafkaProducer(transport=broker.connect_producer()) as plain:
        with pytest.raises(ConfigurationError, match="transactional_id"):
            async with plain.transaction():
                pass


async def test_transactions_wait_for_each_other() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer, anyio.create_task_group() as tasks:

        async def transact(name: bytes) -> None:
            async with producer.transaction() as transaction:
                for _ in range(2):
                    await transaction.send("topic", name)
                    await anyio.sleep(0.1)

        for name in (b"a", b"b"):
            tasks.start_soon(transact, name)
    assert values(broker) in ([b"a", b"a", b"b", b"b"], [b"b", b"b", b"a", b"a"])


async def test_who_is_fenced_ends() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as former:
        async with former.transaction() as transaction:
            await transaction.send("topic", b"former")
        async with producing(broker) as latter:
            async with latter.transaction() as transaction:
                await transaction.send("topic", b"latter")
            for _ in range(3):
                with pytest.raises(ProducerFenced, match="id"):
                    async with former.transaction() as transaction:
                        await transaction.send_soon("topic", b"late")
                await anyio.sleep(1.0)  # the program that has caught it goes on
            assert (former.status().connected, former.status().restarts) == (False, 0)
    assert values(broker) == [b"former", b"latter"]


async def test_who_was_fenced_ends_if_no_transaction_has_raised_that() -> None:
    broker = MemoryBroker({"topic": 1})
    with pytest.raises(ProducerFenced, match="id"):
        async with producing(broker) as former, producing(broker) as latter:
            async with latter.transaction() as transaction:
                await transaction.send("topic", b"latter")
            with pytest.raises(ValueError, match="mine"):
                async with former.transaction() as transaction:
                    await transaction.send_soon("topic", b"late")
                    raise ValueError("mine")
            await anyio.sleep_forever()
    assert values(broker) == [b"latter"]


async def test_a_transaction_that_was_fenced_may_end_the_program() -> None:
    broker = MemoryBroker({"topic": 1})
    with pytest.raises(ProducerFenced, match="id"):
        async with producing(broker) as former, producing(broker) as latter:
            async with latter.transaction() as transaction:
                await transaction.send("topic", b"latter")
            async with former.transaction() as transaction:
                await transaction.send("topic", b"late")
    assert values(broker) == [b"latter"]


@pytest.mark.parametrize("applied", [True, False])
async def test_an_answer_that_is_late_is_waited_for(applied: bool) -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        broker.fail_transactions(TransactionInDoubt("ordered"), applied=applied)
        async with producer.transaction() as transaction:
            await transaction.send("topic", b"one")
        assert producer.status().committed == 1
    assert values(broker) == [b"one"]


async def test_after_a_commit_in_doubt_the_producer_is_replaced() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker, timeout_s=2.0) as producer:
        broker.hold_transactions()
        with pytest.raises(TransactionInDoubt):
            async with producer.transaction() as transaction:
                await transaction.send("topic", b"in doubt")
        broker.release_transactions()
        async with producer.transaction() as transaction:
            await transaction.send("topic", b"two")
        assert producer.status().restarts == 0
    assert values(broker)[-1] == b"two"


async def test_a_producer_that_has_failed_is_restarted() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        broker.fail_transactions(ProducerFailed("ordered"))
        with pytest.raises(ProducerFailed):
            async with producer.transaction() as transaction:
                await transaction.send("topic", b"one")
        async with producer.transaction() as transaction:
            await transaction.send("topic", b"two")
        assert producer.status().restarts == 1
    assert values(broker) == [b"two"]


@pytest.mark.parametrize("transactional_id", ["", 7])
async def test_an_id_is_a_text(transactional_id: Any) -> None:
    with pytest.raises(ConfigurationError, match="transactional_id"):
        KafkaProducer(bootstrap_servers="localhost:1", transactional_id=transactional_id)


async def test_aiokafka_has_no_transactions_here() -> None:
    with pytest.raises(ConfigurationError, match="librdkafka"):
        KafkaProducer(bootstrap_servers="localhost:1", transactional_id="id")
    broker = MemoryBroker()
    with pytest.raises(ConfigurationError, match="transactions"):
        KafkaProducer(transport=broker.connect_producer(), transactional_id="id")


async def test_a_record_that_fails_later_spoils_the_transaction_as_well() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        broker.hold_sends()
        with pytest.raises(TransactionFailed, match="within 1 s"):
            async with producer.transaction() as transaction:
                waiting = await transaction.send_soon("topic", b"late", timeout_s=1.0)
                await anyio.sleep(2.0)
                broker.release_sends()
        with pytest.raises(SendFailed, match="within 1 s"):
            await waiting.sent()
        async with producer.transaction() as transaction:
            await transaction.send("topic", b"next")
    assert values(broker) == [b"next"]


async def test_an_error_that_is_raised_again_and_again_does_not_grow() -> None:
    broker, lengths = MemoryBroker({"topic": 1}), list[int]()
    async with producing(broker) as former, producing(broker) as latter:
        async with latter.transaction() as transaction:
            await transaction.send("topic", b"latter")
        for _ in range(4):
            with pytest.raises(ProducerFenced) as raised:
                async with former.transaction() as transaction:
                    await transaction.send_soon("topic", b"late")
            lengths.append(len(raised.traceback))
    assert lengths[1] == lengths[2] == lengths[3]


async def test_a_body_that_raises_as_it_is_cancelled_does_not_wait_long_for_its_abort() -> None:
    broker = MemoryBroker({"topic": 1})

    async def fail_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        except BaseException:
            raise ValueError("while cleaning up") from None

    async with producing(broker, timeout_s=60.0) as producer:
        began = anyio.current_time()
        with pytest.raises(ExceptionGroup), anyio.move_on_after(1.0):
            async with producer.transaction() as transaction:
                await transaction.send("topic", b"1")
                broker.down()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(fail_when_cancelled)
        assert anyio.current_time() - began < 10.0
        broker.up()
