"""An order's way through three stages, in order for each customer, with retries and dead letters.

    uv run python examples/order_pipeline.py [bootstrap]

`orders` are checked, `payments` are charged by a service that fails now and then, and `shipments`
are written down in batches. What is charged in vain three times goes to `payments-dlt`.
"""

import json
import sys
from contextlib import suppress
from functools import partial
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


class ServiceDown(Exception):
    """The payment service did not answer."""


def parser[T](topic: str, kind: type[T]) -> ParserSpec[T]:
    def parse(record: Record) -> T:
        return kind(**parse_json(record))

    return {"topics": [topic], "type": kind, "parser": parse}


def to_bytes(value: Any) -> bytes:
    return json.dumps(asdict(value)).encode()


async def check(order: Order, delivery: Delivery[Order]) -> Send | None:
    if order.cents <= 0:
        return None  # nothing to pay: the order is finished, and goes no further
    payment = Payment(order.number, order.cents)
    # The record counts as finished once the broker has acknowledged what is returned.
    return Send("payments", to_bytes(payment), key=delivery.record.key)


async def charge(payment: Payment, delivery: Delivery[Payment]) -> Send:
    await anyio.sleep(0.05 * random())
    if payment.number % 10 == 7 or random() < 0.1:
        raise ServiceDown(f"no answer for order {payment.number}, attempt {delivery.attempt}")
    return Send("shipments", to_bytes(Shipment(payment.number)), key=delivery.record.key)


async def ship(deliveries: list[Delivery[Shipment]]) -> None:
    numbers = [delivery.value.number for delivery in deliveries]
    print(f"shipped {len(numbers)} orders: {numbers}", flush=True)


def pipeline(bootstrap: str, group: str = "pipeline") -> KafkaListener:
    """Return the listener of all three stages; started twice, the two share the work."""
    listener = KafkaListener(
        [parser("orders", Order), parser("payments", Payment), parser("shipments", Shipment)],
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        create_topics=True,
    )
    listener.processor(Order, order="key")(check)
    listener.processor(
        Payment,
        order="key",
        concurrency=20,
        retry=Retry(attempts=3, backoff_s=0.2, on=(ServiceDown,)),
        on_failure=DeadLetter(max_ratio=0.5),  # a service that is down must not empty the topic
    )(charge)
    listener.processor(Shipment, batch=Batch(size=100, interval_s=0.5))(ship)
    return listener


async def place_orders(bootstrap: str, count: int) -> None:
    async with KafkaProducer(
        bootstrap_servers=bootstrap, serializers={Order: to_bytes}
    ) as producer:
        for number in range(count):
            order = Order(number, f"customer-{number % 25}", 100 + number)
            await producer.send_soon("orders", order, key=order.customer.encode())


async def main(bootstrap: str) -> None:
    async with pipeline(bootstrap) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(place_orders, bootstrap, 500))
        while True:
            await anyio.sleep(2.0)
            for name, stage in listener.status().processors.items():
                print(f"{name}: {stage.finished} finished, {stage.dead_letters} dead letters")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092")
