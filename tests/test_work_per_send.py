"""How much work a record costs that is sent, in counts that no other load changes."""

import gc
from collections.abc import Awaitable, Callable

import anyio
import pytest

from sdml_kafka import KafkaProducer
from sdml_kafka.testing import MemoryBroker
from tests.support.counted_work import Work, counted

pytestmark = pytest.mark.anyio

AT_ONCE = 100
ROUNDS = 20
RECORDS = AT_ONCE * ROUNDS


async def send_batches(producer: KafkaProducer) -> None:
    for _ in range(ROUNDS):
        waiting = [await producer.send_soon("topic", b"x" * 100) for _ in range(AT_ONCE)]
        for each in waiting:
            await each.sent()


async def call_side_by_side(producer: KafkaProducer) -> None:
    async def call() -> None:
        for _ in range(ROUNDS):
            await producer.send("topic", b"x" * 100)

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(call)


async def work_of(send: Callable[[KafkaProducer], Awaitable[None]]) -> Work:
    async with KafkaProducer(transport=MemoryBroker({"topic": 3}).connect_producer()) as producer:
        await producer.send("topic", b"first")
        with counted() as work:
            await send(producer)
    return work


async def test_function_calls_for_each_record_of_a_batch() -> None:
    work = await work_of(send_batches)
    assert work.calls / RECORDS < 13.5
    assert work.callbacks / RECORDS < 0.1  # nobody is woken for a record that has its outcome


async def test_function_calls_for_each_record_of_a_caller(anyio_backend_name: str) -> None:
    work = await work_of(call_side_by_side)
    # On trio the waiters are this package's own.
    assert work.calls / RECORDS < (14.5 if anyio_backend_name == "asyncio" else 19.5)
    assert work.callbacks / RECORDS < 1.2


async def test_objects_for_each_record_that_waits() -> None:
    """Count what the garbage collector visits, which took a fifth of the time with ten each."""
    broker = MemoryBroker({"topic": 3})
    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        await producer.send("topic", b"first")
        broker.hold_sends()
        gc.collect()
        before = len(gc.get_objects())
        waiting = [await producer.send_soon("topic", b"x") for _ in range(RECORDS)]
        objects = len(gc.get_objects()) - before
        broker.release_sends()
        assert len(waiting) == RECORDS
        # The receipt, the message, what asks whether it is wanted, and the three together.
        assert objects / RECORDS < 4.1
