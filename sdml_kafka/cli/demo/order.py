"""The records of the demo: orders, each with an id of its own."""

import json

from attrs import frozen

from sdml_kafka import Record
from sdml_kafka.cli.demo.ledger import Place


@frozen
class Order:
    id: str
    place: Place


def parse_order(record: Record) -> Order:
    fields = json.loads(record.value or b"")
    return Order(fields["order"], Place(record.partition, record.offset))


def order_value(id: str, amount: int) -> bytes:
    return json.dumps({"order": id, "amount": amount}).encode()
