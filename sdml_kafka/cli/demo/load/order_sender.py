"""Sends orders at a steady rate over the transport's port for producers."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio

from sdml_kafka import SendFailed
from sdml_kafka.cli.demo.books.record_book import RecordBook
from sdml_kafka.cli.demo.load.orders import order_value
from sdml_kafka.transport.interfaces import Message, Producer

TICK_S = 0.02
CUSTOMERS = 97
MAX_UNACKNOWLEDGED = 500
"""The number of records that a sender has under way before it waits, as it does in an outage."""
FLUSH_TIMEOUT_S = 30.0


class OrderSender:
    """Sends orders, and enters in the book those that the broker has acknowledged."""

    def __init__(
        self, name: str, producer: Producer, topic: str, rate: float, book: RecordBook
    ) -> None:
        self._name = name
        self._producer = producer
        self._topic = topic
        self._per_tick = max(1, round(rate * TICK_S))
        self._book = book
        self._count = 0
        self._unacknowledged = 0
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Send orders until cancelled; raise the error of a record that can never be sent."""
        while self._failure is None:
            for _ in range(min(self._per_tick, MAX_UNACKNOWLEDGED - self._unacknowledged)):
                self._send()
            await anyio.sleep(TICK_S)
        raise self._failure

    def _send(self) -> None:
        self._count += 1
        self._unacknowledged += 1
        order = f"{self._name}-{self._count:06}"
        value = order_value(order, self._count * 37 % 500)
        key = f"customer-{self._count % CUSTOMERS}".encode()
        self._producer.send(Message(self._topic, value, key), partial(self._on_sent, order))

    def _on_sent(self, order: str, error: Exception | None) -> None:
        self._unacknowledged -= 1
        if error is None:
            self._book.add_sent(order)
        elif not isinstance(error, SendFailed):  # an outage may cost a record
            self._failure = error


@asynccontextmanager
async def sending(producer: Producer, senders: Sequence[OrderSender]) -> AsyncGenerator[None]:
    """Let the senders send during the body; the exit waits until the broker has all records."""
    async with anyio.create_task_group() as watching:
        watching.start_soon(producer.watch)
        async with anyio.create_task_group() as tasks:
            for sender in senders:
                tasks.start_soon(sender.run)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
        await producer.flush(FLUSH_TIMEOUT_S)
        watching.cancel_scope.cancel()
