"""The cashier, who handles bills side by side: in order, with a retry and a dead letter."""

from collections.abc import Mapping
from typing import Any

import anyio

from sdml_kafka import (
    DeadLetter,
    Delivery,
    KafkaListener,
    KafkaProducer,
    Record,
    Retry,
    Send,
)
from sdml_kafka.cli.demo.books.bill_book import BillBook
from sdml_kafka.cli.demo.event_log import EventLog
from sdml_kafka.cli.demo.live_page import STUCK_AFTER_S

CUSTOMERS = 8
BILLS = 12 * CUSTOMERS
WORK_S = 0.02
SLOW_S = 4.0
"""Seconds that the bank takes, at least, for the bill that is stuck meanwhile."""
FAILS_ONCE, FAILS, SLOW = 20, 45, 63
"""The bill that is paid at the second attempt, the one that is paid when its dead letter
is sent anew, and the one that is stuck."""
CHECK_EVERY_S = 0.05


class NoAnswer(Exception):
    """The bank has not answered."""


class CardDeclined(Exception):
    """The bank has said no, and will again."""


class DeadBill(int):
    """The number of a bill that is a dead letter."""


def dead_letters_of(topic: str) -> str:
    """Return the topic of the dead letters."""
    return f"{topic}-dlt"


class Cashier:
    """Sends bills to a topic, and handles them with `KafkaListener.process`."""

    def __init__(
        self,
        servers: str,
        topic: str,
        book: BillBook,
        log: EventLog,
        client: Mapping[str, Any],
        group_options: Mapping[str, Any],
    ) -> None:
        self._servers = servers
        self._topic = topic
        self._book = book
        self._log = log
        self._client = client
        self._group_options = group_options
        self._has_ended = anyio.Event()
        self._leaving = anyio.Event()
        self._left = anyio.Event()
        self._listener: KafkaListener | None = None

    def observed(self) -> KafkaListener | None:
        """Return what the live page shows, None unless the cashier is there."""
        return self._listener

    async def wait_ended(self) -> None:
        """Wait until every bill was handled, or paid as a dead letter that was sent anew."""
        await self._has_ended.wait()

    async def leave(self) -> None:
        """Return when the cashier has left; one who has not ended stays, and is cancelled."""
        if self._has_ended.is_set():
            self._leaving.set()
            await self._left.wait()

    async def run(self) -> None:
        """Handle all bills, log what has happened, and stay for the live page's dead letters."""
        self._listener = self._new_listener()
        async with (
            KafkaProducer(bootstrap_servers=self._servers, **self._client) as producer,
            self._listener,
        ):
            await self._send(producer)
            await self._has_ended.wait()
            self._report()
            await self._leaving.wait()
        self._listener = None
        self._left.set()

    async def _send(self, producer: KafkaProducer) -> None:
        waiting = [
            await producer.send_soon(self._topic, b"%d" % number, key=_customer(number))
            for number in range(1, BILLS + 1)
        ]
        for each in waiting:
            await each.sent()
        self._book.sent = len(waiting)
        self._look_whether_ended()

    def _report(self) -> None:
        book = self._book
        count, most = book.sent, book.most_at_once
        text = f"cashier: {count} bills of {CUSTOMERS} customers, up to {most} at once"
        if book.out_of_order:
            self._log.add(f"{text}, {len(book.out_of_order)} out of order", "bad")
        else:
            self._log.add(f"{text}, each customer's in order", "good")

    async def _be_stuck(self, delivery: Delivery[int]) -> None:
        """Wait until the health has said of this bill that it is stuck, and log that."""
        place = f"{delivery.record.topic} {delivery.record.partition}"
        while (reason := self._why_stuck(place)) is None:  # noqa: ASYNC110  (health has no event)
            await anyio.sleep(CHECK_EVERY_S)
        self._log.add(f"cashier: stuck, {place}: {reason}", "bad")

    def _why_stuck(self, place: str) -> str | None:
        assert self._listener is not None
        # The state of the whole may be another, such as that no broker can be reached.
        for part in self._listener.health(stuck_after_s=STUCK_AFTER_S).parts:
            if part.kind == "partition" and part.name == place and part.state == "stuck":
                return part.reason
        return None

    def _new_listener(self) -> KafkaListener:
        dead_letters = dead_letters_of(self._topic)
        listener = KafkaListener(
            [
                {"topics": [self._topic], "type": int, "parser": _number},
                {"topics": [dead_letters], "type": DeadBill, "parser": _dead_number},
            ],
            bootstrap_servers=self._servers,
            group_id=f"{self._topic}-group",
            auto_offset_reset="earliest",
            **self._client,
            **self._group_options,
        )
        listener.processor(
            int,
            order="key",
            concurrency=CUSTOMERS,
            retry=Retry(attempts=3, backoff_s=0.1, unless=(CardDeclined,)),
            on_failure=DeadLetter(topic=dead_letters),
            name="pay",
        )(self._handle)
        listener.processor(DeadBill, name="send anew")(self._show)
        return listener

    async def _handle(self, number: int, delivery: Delivery[int]) -> None:
        customer, attempt = (delivery.record.key or b"").decode(), delivery.attempt
        self._book.begin(customer, number, attempt)
        try:
            if number == SLOW:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._be_stuck, delivery)
                    await anyio.sleep(SLOW_S)
            else:
                await anyio.sleep(WORK_S)
            if number == FAILS_ONCE and attempt == 1:
                raise NoAnswer("no answer")
            if number == FAILS and number not in self._book.dead_letters:
                raise CardDeclined("card declined")
        finally:
            self._book.end(customer)
        if number == SLOW:
            self._log.add(f"cashier: bill {number} is stuck no more", "good")
        if attempt > 1:
            self._log.add(f"cashier: bill {number} failed, and was paid at attempt {attempt}")
        if number in self._book.dead_letters:
            self._log.add(f"cashier: bill {number}, sent anew, was paid", "good")
            self._book.replayed.add(number)
        else:
            self._book.handled.add(number)
        self._look_whether_ended()

    async def _show(self, number: DeadBill, delivery: Delivery[DeadBill]) -> Send:
        """Log a dead letter, and send it anew, since the customer has another card now."""
        headers = dict(delivery.record.headers)
        why = headers["kafka_dlt-exception-message"].decode()
        text = f"cashier: bill {number} is a dead letter in {delivery.record.topic!r}: {why}"
        self._log.add(text, "bad")
        self._book.dead_letters.add(int(number))
        return Send(self._topic, delivery.record.value or b"", key=delivery.record.key)

    def _look_whether_ended(self) -> None:
        if self._book.sent and not self._book.missing:
            self._has_ended.set()


def _customer(number: int) -> bytes:
    return f"customer-{number % CUSTOMERS}".encode()


def _number(record: Record) -> int:
    return int(record.value or b"0")


def _dead_number(record: Record) -> DeadBill:
    return DeadBill(record.value or b"0")
