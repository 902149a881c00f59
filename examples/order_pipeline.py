"""An order's way through three stages, in order for each customer, with retries and dead letters.

    uv run python examples/order_pipeline.py [bootstrap]

`orders` are checked, `payments` are charged by a bank that fails now and then, and `shipments`
are written down in batches. What is charged in vain three times goes to `payments-dlt`. Once the
bank has thawed the accounts that were frozen, the dead letters are sent anew, and charged.
"""

import json
import sys
from contextlib import suppress
from random import random
from typing import Any

import anyio
from attrs import asdict, frozen

from sdml_kafka import (
    Batch,
    DeadLetter,
    Delivery,
    KafkaListener,
    KafkaProducer,
    ParserSpec,
    Record,
    Retry,
    Send,
    parse_json,
)


@frozen
class Order:
    number: int
    customer: str
    cents: int


@frozen
class Payment:
    number: int
    cents: int


@frozen
class Shipment:
    number: int


class NoAnswer(Exception):
    """The bank did not answer."""


class AccountFrozen(Exception):
    """The bank takes nothing from this account."""


def parser[T](topic: str, kind: type[T]) -> ParserSpec[T]:
    def parse(record: Record) -> T:
        return kind(**parse_json(record))

    return {"topics": [topic], "type": kind, "parser": parse}


def to_bytes(value: Any) -> bytes:
    return json.dumps(asdict(value)).encode()


SERIALIZERS = {kind: to_bytes for kind in (Order, Payment, Shipment)}


async def check(order: Order, delivery: Delivery[Order]) -> Send | None:
    if order.cents <= 0:
        return None  # nothing to pay: the order is finished, and goes no further
    payment = Payment(order.number, order.cents)
    # The record counts as finished once the broker has acknowledged what is returned.
    return Send("payments", payment, key=delivery.record.key)


class Bank:
    has_frozen_accounts: bool = True
    silence: float = 0.1  # the share of payments that it does not answer

    async def charge(self, payment: Payment, delivery: Delivery[Payment]) -> Send:
        await anyio.sleep(0.05 * random())
        if payment.number % 10 == 7 and self.has_frozen_accounts:
            raise AccountFrozen(f"order {payment.number}, attempt {delivery.attempt}")
        if random() < self.silence:
            raise NoAnswer(f"order {payment.number}, attempt {delivery.attempt}")
        return Send("shipments", Shipment(payment.number), key=delivery.record.key)


async def ship(deliveries: list[Delivery[Shipment]]) -> None:
    numbers = [delivery.value.number for delivery in deliveries]
    print(f"shipped {len(numbers)} orders: {numbers}", flush=True)


def pipeline(bootstrap: str, bank: Bank, group: str = "pipeline") -> KafkaListener:
    """Return the listener of all three stages; started twice, the two share the work."""
    listener = KafkaListener(
        [parser("orders", Order), parser("payments", Payment), parser("shipments", Shipment)],
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        create_topics=True,
        serializers=SERIALIZERS,
    )
    listener.processor(Order, order="key")(check)
    listener.processor(
        Payment,
        order="key",
        concurrency=20,
        name="charge",
        retry=Retry(attempts=3, backoff_s=0.2),
        on_failure=DeadLetter(max_ratio=0.5),  # a bank that is down must not empty the topic
    )(bank.charge)
    listener.processor(Shipment, batch=Batch(size=100, interval_s=0.5))(ship)
    return listener


async def place_orders(bootstrap: str, numbers: range) -> None:
    async with KafkaProducer(bootstrap_servers=bootstrap, serializers=SERIALIZERS) as producer:
        for number in numbers:
            order = Order(number, f"customer-{number % 25}", 100 + number)
            await producer.send_soon("orders", order, key=order.customer.encode())


async def replay(bootstrap: str) -> None:
    """Send the dead letters to where they came from, each once, as a person does in a shell."""
    command = [sys.executable, "-m", "sdml_kafka", "dead-letters", "payments-dlt", "replay"]
    await anyio.run_process([*command, "--bootstrap", bootstrap])


async def main(bootstrap: str) -> None:
    bank, count = Bank(), 500
    async with pipeline(bootstrap, bank) as listener:
        await place_orders(bootstrap, range(count))
        while True:
            await anyio.sleep(2.0)
            stages = listener.status().processors
            for name, stage in stages.items():
                print(f"{name}: {stage.finished} finished, {stage.dead_letters} dead letters")
            charged = stages["charge"].finished + stages["charge"].dead_letters
            if bank.has_frozen_accounts and charged >= count:
                print("the bank thaws the accounts, and the dead letters are sent anew")
                bank.has_frozen_accounts = False
                await replay(bootstrap)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092")
