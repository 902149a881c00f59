"""The records of the demo: orders, each with an id of its own."""

import json

from attrs import frozen

from sdml_kafka import Record
from sdml_kafka.cli.demo.books.record_book import Place


@frozen
class Order:
    id: str
    place: Place


def parse_order(record: Record) -> Order:
    """Return the order that a record holds."""
    fields = json.loads(record.value or b"")
    return Order(fields["order"], Place(record.partition, record.offset))


def order_value(id: str, amount: int) -> bytes:
    """Return the value of an order's record."""
    return json.dumps({"order": id, "amount": amount}).encode()
