"""Parsers and serializers for types of msgspec and pydantic."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka import (
    ConfigurationError,
    DocumentInvalid,
    Record,
    parse_msgspec,
    parse_pydantic,
    to_json,
    to_msgspec,
    to_pydantic,
)
from sdml_kafka.parsing.models import MAX_FIELDS
from sdml_kafka.parsing.plain_data import builder_of
from sdml_kafka.testing import MemoryRecord


class Line(msgspec.Struct):
    sku: str
    quantity: int


class Order(msgspec.Struct):
    id: str
    lines: list[Line]


class LineModel(pydantic.BaseModel):
    sku: str
    quantity: int


class OrderModel(pydantic.BaseModel):
    id: str
    lines: list[LineModel]


class Opaque:
    """No library knows what it is made of."""


GOOD = b'{"id":"o-1","lines":[{"sku":"a","quantity":2}]}'


def record(value: bytes | None) -> Record:
    return MemoryRecord("orders", 0, 0, 0, None, value, ())


def test_msgspec_makes_what_the_type_says() -> None:
    order = Order("o-1", [Line("a", 2)])
    assert parse_msgspec(Order)(record(GOOD)) == order
    assert to_msgspec()(order) == to_json(order) == GOOD
    packed = to_msgspec("msgpack")(order)
    assert packed != GOOD
    assert parse_msgspec(Order, "msgpack")(record(packed)) == order


def test_pydantic_makes_what_the_type_says() -> None:
    order = OrderModel(id="o-1", lines=[LineModel(sku="a", quantity=2)])
    assert parse_pydantic(OrderModel)(record(GOOD)) == order
    assert to_pydantic(OrderModel)(order) == to_json(order) == GOOD
    assert parse_pydantic(dict[str, int])(record(b'{"a":1}')) == {"a": 1}


BROKEN = [
    (b'{"id":"o-1","lines":[{"sku":"a","quantity":"two"}]}', "lines[0].quantity"),
    (b'{"id":"o-1","lines":[{"quantity":2}]}', "lines[0].sku"),
    (b'{"id":"o-1"}', "lines"),
    (b'{"id":7,"lines":[]}', "id"),
    (b"[]", ""),
    (b"no JSON", ""),
    (b"", ""),
]


@pytest.mark.parametrize(("document", "path"), BROKEN)
@pytest.mark.parametrize("parse", [parse_msgspec(Order), parse_pydantic(OrderModel)])
def test_errors_are_given_by_field(
    document: bytes, path: str, parse: Callable[[Record], Any]
) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse(record(document))
    assert list(caught.value.fields) == [path]
    assert caught.value.fields[path] in str(caught.value)
    assert str(caught.value).startswith(path)


def test_pydantic_gives_every_field_that_is_wrong() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse_pydantic(OrderModel)(record(b'{"lines":[{"sku":"secret"}]}'))
    assert caught.value.fields == {"id": "is missing", "lines[0].quantity": "is missing"}
    assert str(caught.value) == "id: is missing; lines[0].quantity: is missing"
    assert "secret" not in repr(caught.value)


def test_strictness_is_chosen() -> None:
    text = record(b'{"sku":"a","quantity":"2"}')
    assert parse_msgspec(Line, strict=False)(text) == Line("a", 2)
    assert parse_pydantic(LineModel)(text).quantity == 2
    for parse in (parse_msgspec(Line), parse_pydantic(LineModel, strict=True)):
        with pytest.raises(DocumentInvalid, match="quantity"):
            parse(text)


@pytest.mark.parametrize("parse", [parse_msgspec(Order), parse_pydantic(OrderModel)])
def test_a_tombstone_is_no_document(parse: Callable[[Record], Any]) -> None:
    with pytest.raises(ValueError, match="tombstone"):
        parse(record(None))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_a_value_or_a_document_that_is_invalid(document: bytes) -> None:
    parsers: list[Callable[[Record], Any]] = [
        parse_msgspec(Order),
        parse_msgspec(Order, "msgpack"),
        parse_pydantic(OrderModel),
    ]
    for parse in parsers:
        with suppress(DocumentInvalid):
            parse(record(document))


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("msgspec", lambda: parse_msgspec(Order)),
        ("msgspec", to_msgspec),
        ("pydantic", lambda: parse_pydantic(OrderModel)),
        ("pydantic", lambda: to_pydantic(OrderModel)),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    package: str, make: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"sdml-kafka-client\[{package}\]"):
        make()


def test_what_cannot_work_is_said_when_the_parser_is_made() -> None:
    format_: Any = "xml"
    for make in (lambda: parse_msgspec(Order, format_), lambda: to_msgspec(format_)):
        with pytest.raises(ConfigurationError, match="'xml'"):
            make()
    for type_ in (Line | Order, Opaque):
        for make_of in (parse_msgspec, builder_of):
            with pytest.raises(ConfigurationError, match="msgspec cannot decode"):
                make_of(type_)
    with pytest.raises(ConfigurationError, match="pydantic cannot validate"):
        parse_pydantic(type(sys))


def test_json_is_written_without_msgspec_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"name": "Zoë", "lines": [1, 2.5, None]}
    expected = '{"name":"Zoë","lines":[1,2.5,null]}'.encode()
    assert to_json(value) == expected
    monkeypatch.setitem(sys.modules, "msgspec", None)
    assert to_json(value) == expected
    with pytest.raises(TypeError):
        to_json(object())


def test_so_many_wrong_fields_are_named() -> None:
    lines = b",".join([b"{}"] * 100)
    with pytest.raises(DocumentInvalid) as caught:
        parse_pydantic(OrderModel)(record(b'{"id":"o-1","lines":[%s]}' % lines))
    assert len(caught.value.fields) == MAX_FIELDS
