"""Documents for the records: orders with nested lines as services send them, and others."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

LINES = 7
"""The number of nested lines of an order of 512 bytes; longer orders have more."""

Document = dict[str, Any]


def nested(number: int, size: int) -> bytes:
    """Return an order with nested lines as JSON of `size` bytes."""
    random = Random(number)  # the same in every run
    order: Document = {
        "id": f"o-{number}",
        "customer": {"id": random.randrange(5000), "name": "Ada", "vip": number % 9 == 0},
        "lines": [],
        "total": round(random.random() * 500, 2),
        "note": "",
    }
    lines = LINES if size <= 512 else LINES * size // 512
    for line in range(lines):
        order["lines"].append(
            {"sku": f"s{random.randrange(10**4)}", "qty": line + 1, "price": random.randrange(9900)}
        )
    return _padded(order, "note", size)


def flat(number: int, size: int) -> bytes:
    """Return a document of two fields as JSON of `size` bytes."""
    return _padded({"n": number, "filler": ""}, "filler", size)


def mixed(number: int, size: int) -> bytes:
    """Return one byte to `size` bytes: as often some bytes as some hundred kilobytes."""
    return b"x" * int(size ** Random(number).random())


def _padded(document: Document, field: str, size: int) -> bytes:
    room = size - len(json.dumps(document, separators=(",", ":")))
    if room < 0:
        raise ValueError(f"A document of {size - room} bytes does not fit into {size}")
    return json.dumps({**document, field: "x" * room}, separators=(",", ":")).encode()


SHAPES = {"nested": nested, "flat": flat, "mixed": mixed}


def documents(shape: str, size: int, count: int) -> Iterator[bytes]:
    """Return `count` documents, a thousand different ones in turn."""
    few = [SHAPES[shape](number, size) for number in range(min(count, 1000))]
    return (few[number % len(few)] for number in range(count))
