"""Wherever a program is cancelled a transaction is whole, and room that was taken is free."""

import anyio
import anyio.abc
import pytest

from sdml_kafka import KafkaProducer, TopicPartition
from sdml_kafka.testing import Transport
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.checkpoints import cancelled_at
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

P0 = TopicPartition("topic", 0)


def texts(broker: MemoryBroker) -> list[str]:
    return [(record.value or b"").decode() for record in broker.records(P0)]


async def test_a_transaction_may_be_cancelled_anywhere() -> None:
    broker, times, is_done = MemoryBroker({"topic": 1}), 0, False
    transactions = broker.connect_transactions(transactional_id="id")
    transport = Transport(broker.connect("group"), broker.connect_producer(), "twin", transactions)
    broker.slow_down(commit_s=0.1)
    async with KafkaProducer(transport=transport, transactional_id="id") as producer:

        async def transact(name: str) -> None:
            async with producer.transaction() as transaction:
                await transaction.send("topic", f"{name} 1".encode())
                await (await transaction.send_soon("topic", f"{name} 2".encode())).sent()

        while not is_done:
            times += 1
            is_done = not await cancelled_at(times, transact(f"cut off {times}"))
            with anyio.fail_after(30.0):
                await transact(f"after {times}")
            assert producer.status().waiting == 0
    assert times > 5
    seen = texts(broker)
    assert len(seen) == len(set(seen))
    for number in range(1, times + 1):
        assert {f"after {number} 1", f"after {number} 2"} <= set(seen)
        cut_off = [f"cut off {number} 1" in seen, f"cut off {number} 2" in seen]
        assert cut_off in ([False, False], [True, True])


async def test_whoever_waits_for_room_may_be_cancelled_anywhere() -> None:
    broker, times, is_done = MemoryBroker({"topic": 1}), 0, False
    broker.slow_down(send_s=0.1)
    async with KafkaProducer(transport=broker.connect_producer(), max_waiting=1) as producer:

        async def send_all(tasks: anyio.abc.TaskGroup) -> None:
            for number in range(3):
                tasks.start_soon(producer.send, "topic", f"{times} {number}".encode())
            await producer.send("topic", f"{times} last".encode())
            await producer.flush()

        async def scenario() -> None:
            async with anyio.create_task_group() as tasks:
                await send_all(tasks)

        while not is_done:
            times += 1
            is_done = not await cancelled_at(times, scenario())
            with anyio.fail_after(5.0):
                await producer.send("topic", f"{times} after".encode())
            assert producer.status().waiting == 0
    assert times > 2
    assert [text for text in texts(broker) if text.endswith("after")] == [
        f"{number} after" for number in range(1, times + 1)
    ]
