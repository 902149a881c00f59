"""A transaction over aiokafka that fails says what has ended it, and leaves no error behind."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    IllegalOperation,
    InvalidTxnState,
    KafkaError,
    ProducerFenced,
    UnknownError,
)

from sdml_kafka import ProducerFailed
from sdml_kafka.transport.aiokafka.producer.transactions import ProducerTransactions, _send_all
from sdml_kafka.transport.interfaces.producer import Message


class Failing:
    """A producer whose records all fail, whose sender may have died of it."""

    def __init__(self, error: Exception, sender: "asyncio.Task[None] | None" = None) -> None:
        self._error = error
        self._sender = SimpleNamespace(_sender_task=sender)
        self.has_begun = False

    async def begin_transaction(self) -> None:
        self.has_begun = True

    async def send(self, *_: object, **__: object) -> "asyncio.Future[object]":
        future = asyncio.get_running_loop().create_future()
        future.set_exception(self._error)
        return future

    async def abort_transaction(self) -> None:
        raise self._error

    async def stop(self) -> None:
        self.has_begun = False


def test_the_first_error_speaks_for_the_others() -> None:
    said: list[Any] = []

    async def send() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        producer: Any = Failing(ProducerFenced())
        with pytest.raises(ProducerFenced):
            await _send_all(producer, [Message("topic", b"%d" % number) for number in range(3)])
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(send())
    assert said == []


async def _dies_of(error: Exception) -> "asyncio.Task[None]":
    """Return a sender that ended as aiokafka's does: with an error of its own, and its cause."""

    async def run() -> None:
        raise KafkaError("Unexpected error during batch delivery") from error

    sender = asyncio.create_task(run())
    await asyncio.wait([sender])
    return sender


async def _send(producer: Any) -> None:
    transactions = ProducerTransactions(lambda: producer, timeout_s=1)
    transactions._producer = producer
    transactions._counts["topic"] = 1
    await transactions.send([Message("topic", b"value")], {}, "group")


@pytest.mark.parametrize("error", [InvalidTxnState(), ProducerFenced(), UnknownError()])
def test_whoever_loses_the_id_hears_of_it_whatever_request_meets_the_end(error: Exception) -> None:
    async def send() -> None:
        sender = await _dies_of(error)
        # A batch fails with a copy, which has no cause.
        producer = Failing(KafkaError("Unexpected error during batch delivery"), sender)
        with pytest.raises(ProducerFailed, match="has begun"):
            await _send(producer)
        assert not producer.has_begun

    asyncio.run(send())


def test_a_sender_that_died_is_no_fault_of_a_record() -> None:
    async def send() -> None:
        sender = await _dies_of(IllegalOperation())
        producer = Failing(KafkaError("Unexpected error during batch delivery"), sender)
        with pytest.raises(ProducerFailed, match="not committed: IllegalOperation"):
            await _send(producer)

    asyncio.run(send())
