"""Sends orders at a steady rate, over a supervised producer that is replaced when it fails."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio

from sdml_kafka import SendFailed
from sdml_kafka.cli.demo.books.record_book import RecordBook
from sdml_kafka.cli.demo.event_log import EventLog
from sdml_kafka.cli.demo.load.orders import order_value
from sdml_kafka.producing.outbox import Outbox, Sender
from sdml_kafka.runtime import ChildSpec, Supervisor, supervise
from sdml_kafka.transport.interfaces.producer import ConnectProducer, Message

TICK_S = 0.02
CUSTOMERS = 97
MAX_UNACKNOWLEDGED = 500
"""The number of records that a sender has under way before it waits, as it does in an outage."""
START_TIMEOUT_S = 30.0
FLUSH_TIMEOUT_S = 30.0
CHECK_EVERY_S = 0.02


class OrderSender:
    """Sends orders, and enters in the book the orders that the broker has acknowledged."""

    def __init__(
        self, name: str, outbox: Outbox, topic: str, rate: float, book: RecordBook
    ) -> None:
        self.unacknowledged: int = 0
        """The number of records whose outcome is not known yet."""
        self._name = name
        self._outbox = outbox
        self._topic = topic
        self._per_tick = max(1, round(rate * TICK_S))
        self._book = book
        self._count = 0
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Send orders until cancelled; raise the error of a record that can never be sent."""
        while self._failure is None:
            for _ in range(min(self._per_tick, MAX_UNACKNOWLEDGED - self.unacknowledged)):
                self._send()
            await anyio.sleep(TICK_S)
        raise self._failure

    def _send(self) -> None:
        self._count += 1
        self.unacknowledged += 1
        order = f"{self._name}-{self._count:06}"
        value = order_value(order, self._count * 37 % 500)
        key = f"customer-{self._count % CUSTOMERS}".encode()
        self._outbox.send(Message(self._topic, value, key), partial(self._on_sent, order))

    def _on_sent(self, order: str, error: Exception | None) -> None:
        self.unacknowledged -= 1
        if error is None:
            self._book.add_sent(order)
        elif not isinstance(error, SendFailed):  # an outage may cost a record
            self._failure = error


@asynccontextmanager
async def sending(
    connect: ConnectProducer, outbox: Outbox, senders: Sequence[OrderSender], log: EventLog
) -> AsyncGenerator[None]:
    """Let the senders send during the body; the exit waits until the broker has all records."""

    def producer() -> Sender:
        return Sender(connect, outbox, START_TIMEOUT_S, creates_topics=False)

    # The sender's own timeout comes first, because its error says more.
    spec = ChildSpec("producer", producer, start_timeout_s=START_TIMEOUT_S + 1.0)
    supervisor = Supervisor(
        "orders", [spec], on_event=lambda event: log.add_actor_event("orders", event)
    )
    try:
        async with supervise(supervisor, start_timeout_s=START_TIMEOUT_S + 2.0):
            async with anyio.create_task_group() as tasks:
                for sender in senders:
                    tasks.start_soon(sender.run)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
            with anyio.move_on_after(FLUSH_TIMEOUT_S):
                while any(sender.unacknowledged for sender in senders):  # noqa: ASYNC110  (a sum has no event)
                    await anyio.sleep(CHECK_EVERY_S)
    finally:
        outbox.close()
