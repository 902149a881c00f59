"""Avro's data asks for no more work than its size is worth, and what is right is not refused."""

import json
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdml_kafka.schemas.formats import avro, avro_bounds
from sdml_kafka.schemas.formats.avro_bounds import OutOfBounds
from sdml_kafka.schemas.formats.codec import Reading
from sdml_kafka.schemas.source import SchemaText

FIELDS: dict[str, Any] = {
    "b": "boolean",
    "i": "int",
    "l": {"type": "long", "logicalType": "timestamp-millis"},
    "f": "float",
    "d": "double",
    "y": "bytes",
    "s": {"type": "string"},
    "e": {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]},
    "x": {"type": "fixed", "name": "Three", "size": 3},
    "y2": "Three",
    "m": {"type": "map", "values": ["null", "double"]},
    "n": {"type": "array", "items": "null"},
    "t": {"type": "array", "items": ["null", "Tree"]},
    "left": ["null", "Tree"],
}
TREE: dict[str, Any] = {
    "type": "record",
    "name": "Tree",
    "fields": [{"name": name, "type": kind} for name, kind in FIELDS.items()],
}
NODE: dict[str, Any] = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "next", "type": ["null", "Node"]}],
}
EMPTY: dict[str, Any] = {"type": "array", "items": {"type": "record", "name": "E", "fields": []}}


def trees(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields: dict[str, st.SearchStrategy[Any]] = {
        "b": st.booleans(),
        "i": st.integers(-(2**31), 2**31 - 1),
        "l": st.integers(0, 2**40),
        "f": st.just(0.5),
        "d": st.just(-0.25),
        "y": st.binary(max_size=5),
        "s": st.text(max_size=5),
        "e": st.sampled_from(["RED", "BLUE"]),
        "x": st.binary(min_size=3, max_size=3),
        "y2": st.binary(min_size=3, max_size=3),
        "m": st.dictionaries(st.text(max_size=3), st.none() | st.just(1.5), max_size=2),
        "n": st.lists(st.none(), max_size=5),
        "t": st.lists(st.none() | inner, max_size=2),
        "left": st.none() | inner,
    }
    return st.fixed_dictionaries(fields)


def written(schema: Any, value: object) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def check_of(schema: Any) -> Callable[[bytes, int], None]:
    check = avro_bounds.check_of(fastavro.parse_schema(schema))
    assert check is not None
    return check


def reader(schema: Any) -> Callable[[bytes], Any]:
    read = avro.reader(SchemaText("AVRO", json.dumps(schema)), Reading(dict, lambda value: value))
    return lambda data: read(data, 0, None)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"next": None}
    for _ in range(depth - 1):
        value = {"next": value}
    return value


@given(value=trees(trees(st.none()) | st.none()), cut=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_what_is_right_passes_and_what_is_cut_short_does_not(value: Any, cut: int) -> None:
    check, data = check_of(TREE), written(TREE, value)
    check(data, 0)
    check(b"12345" + data, 5)
    with pytest.raises(OutOfBounds):
        check(data[:-cut], 0)


@given(data=st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_bytes_pass_or_are_out_of_bounds(data: bytes) -> None:
    try:
        check_of(TREE)(data, 0)
    except OutOfBounds:
        return
    with suppress(Exception):  # what is within the bounds may still be wrong
        fastavro.schemaless_reader(BytesIO(data), fastavro.parse_schema(TREE), None)


def test_how_deep_records_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avro_bounds, "MAX_DEPTH", 5)
    read = reader(NODE)
    assert read(written(NODE, nested(5))) == nested(5)
    with pytest.raises(OutOfBounds, match="deeper than 5 records"):
        read(written(NODE, nested(6)))


def test_the_bound_is_one_that_this_python_keeps() -> None:
    read = reader(NODE)
    assert read(written(NODE, nested(avro_bounds.MAX_DEPTH)))
    with pytest.raises(OutOfBounds):
        read(written(NODE, nested(avro_bounds.MAX_DEPTH + 1)))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": "null"},
        {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
        EMPTY,
        {"type": "map", "values": EMPTY},
        {
            "type": "record",
            "name": "R",
            "fields": [
                {"name": "one", "type": {"type": "record", "name": "E", "fields": []}},
                {"name": "all", "type": {"type": "array", "items": "E"}},
            ],
        },
    ],
)
def test_how_many_items_without_a_byte_there_may_be(
    schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avro_bounds, "MAX_EMPTY_ITEMS", 4)
    item: Any = {} if "record" in str(schema) else b"" if "fixed" in str(schema) else None

    def value(count: int) -> Any:
        items = [item] * count
        if schema["type"] == "map":
            return {"a": items[1:], "b": items[:1]}
        return {"one": {}, "all": items} if schema["type"] == "record" else items

    read = reader(schema)
    assert read(written(schema, value(4))) == value(4)
    with pytest.raises(OutOfBounds, match="more than 4 items without a byte"):
        read(written(schema, value(5)))


@pytest.mark.parametrize("schema", ["string", ["null", "long"], {"type": "map", "values": "null"}])
def test_what_its_size_bounds_is_not_walked_through(schema: Any) -> None:
    assert avro_bounds.check_of(fastavro.parse_schema(schema)) is None
    fields = [{"name": name, "type": kind} for name, kind in FIELDS.items() if name in "bilfdem"]
    plain = {"type": "record", "name": "Plain", "fields": fields}
    assert avro_bounds.check_of(fastavro.parse_schema(plain)) is None


def test_a_type_that_holds_itself_by_reference() -> None:
    outer = {"type": "record", "name": "Outer", "fields": [{"name": "node", "type": "Node"}]}
    schema = SchemaText("AVRO", json.dumps(outer), {"Node": json.dumps(NODE)})
    read = avro.reader(schema, Reading(dict, lambda value: value))
    data = written(NODE, nested(avro_bounds.MAX_DEPTH))
    with pytest.raises(OutOfBounds):
        read(data, 0, None)
    assert read(data[1:], 0, None)


BYTES = {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 2}
FIXED = {"type": "fixed", "name": "Sum", "logicalType": "decimal", "scale": 2}


@pytest.mark.parametrize("is_nested", [False, True])
@pytest.mark.parametrize("kind", ["bytes", "fixed"])
def test_how_long_a_decimal_may_be(
    kind: str, is_nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avro_bounds, "MAX_DECIMAL_BYTES", 4)

    def read(size: int, text: str) -> Any:
        decimal = BYTES if kind == "bytes" else {**FIXED, "size": size, "precision": 2 * size}
        record = {"type": "record", "name": "Bill", "fields": [{"name": "sum", "type": decimal}]}
        schema: Any = record if is_nested else ["null", decimal]
        value = Decimal(text)
        read = reader(schema)(written(schema, {"sum": value} if is_nested else value))
        return read["sum"] if is_nested else read

    assert read(4, "123456.78") == Decimal("123456.78")
    with pytest.raises(OutOfBounds, match="more than 4 bytes"):
        read(16, "12345678901234567890.12")
