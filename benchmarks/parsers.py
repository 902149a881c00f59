"""The documents as types, and the parsers of the benchmarks."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic

from sdml_kafka import parse_bytes, parse_json, parse_msgspec, parse_pydantic


class Customer(msgspec.Struct):
    """The customer of an order."""

    id: int
    name: str
    vip: bool


class Line(msgspec.Struct):
    """A line of an order."""

    sku: str
    qty: int
    price: int


class Order(msgspec.Struct):
    """The nested document."""

    id: str
    customer: Customer
    lines: list[Line]
    total: float
    note: str


class PydanticCustomer(pydantic.BaseModel):
    """The customer of an order."""

    id: int
    name: str
    vip: bool


class PydanticLine(pydantic.BaseModel):
    """A line of an order."""

    sku: str
    qty: int
    price: int


class PydanticOrder(pydantic.BaseModel):
    """The nested document."""

    id: str
    customer: PydanticCustomer
    lines: list[PydanticLine]
    total: float
    note: str


PARSERS: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "json": (dict, parse_json, lambda record: json.loads(record.value)),
    "msgspec": (Order, parse_msgspec(Order), lambda record: json.loads(record.value)),
    "pydantic": (PydanticOrder, parse_pydantic(PydanticOrder), lambda r: json.loads(r.value)),
    "not parsed": (bytes, parse_bytes, lambda record: record.value),
}
"""The type and the parser of ours, and what stands in its place in the loop by hand."""
