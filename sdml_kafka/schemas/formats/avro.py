"""Avro, by fastavro."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any, cast

from sdml_kafka.errors import ConfigurationError, SchemaRefused
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.schemas.formats.avro_bounds import check_of, with_bounded_decimals
from sdml_kafka.schemas.formats.codec import Read, Reading, Written, library
from sdml_kafka.schemas.source import SchemaText


def reader(schema: SchemaText, reading: Reading) -> Read:
    """Return what reads Avro's binary data.

    Raises:
        SchemaRefused: The schema is not valid.
    """
    fastavro = library("fastavro")
    writer_schema = with_bounded_decimals(_parsed(schema), fastavro.read.LOGICAL_READERS)
    if reading.name is not None and reading.name != _name(writer_schema):
        return _skip
    if _is_bytes(writer_schema):  # stands without its length, as Confluent's serializers write it
        return lambda data, at, path: reading.build(data[at:])
    wanted, build, read_one = _reader_schema(reading), reading.build, fastavro.schemaless_reader
    check = check_of(writer_schema)

    def read(data: bytes, at: int, path: tuple[int, ...] | None) -> object:
        if check is not None:
            check(data, at)
        stream = BytesIO(data)
        stream.seek(at)
        value = read_one(stream, writer_schema, wanted)
        if stream.tell() != len(data):
            raise ValueError("there are bytes behind the data that the schema describes")
        return build(value)

    return read


def writer(schema: SchemaText) -> Written[Any]:
    """Return what writes Avro's binary data.

    Raises:
        SchemaRefused: The schema is not valid.
    """
    parsed, write_one = _parsed(schema), library("fastavro").schemaless_writer
    if _is_bytes(parsed):
        return Written(bytes)

    def write(value: Any) -> bytes:
        stream = BytesIO()
        write_one(stream, parsed, value)
        return stream.getvalue()

    return Written(write)


def _parsed(schema: SchemaText) -> Any:
    parse = library("fastavro").parse_schema
    named: dict[str, Any] = {}
    try:
        for text in schema.references.values():
            parse(json.loads(text), named_schemas=named)
        parsed = parse(json.loads(schema.text), named_schemas=named)
        return parse(_whole(parsed, named, set())) if schema.references else parsed
    except Exception as error:  # of whichever class: the schema came from outside
        raise SchemaRefused(f"the schema is not valid Avro ({type(error).__name__})") from error


def _whole(schema: Any, named: Mapping[str, Any], seen: set[str]) -> Any:
    """Return a parsed schema that refers to nothing outside: it defines each name itself.

    Args:
        schema: The schema, or a part of it.
        named: What it refers to, by name.
        seen: The names that were defined so far.
    """
    if isinstance(schema, list):
        return [_whole(each, named, seen) for each in schema]  # pyright: ignore[reportUnknownVariableType]
    found: Any = schema
    if isinstance(schema, str):
        if schema not in named or schema in seen:
            return schema
        found = named[schema]
    if found["type"] in ("record", "error", "enum", "fixed"):
        if found["name"] in seen:
            return found["name"]
        seen.add(found["name"])
    whole = {key: value for key, value in found.items() if not key.startswith("__fastavro")}
    whole.pop("__named_schemas", None)
    if "fields" in whole:
        whole["fields"] = [
            {**each, "type": _whole(each["type"], named, seen)} for each in whole["fields"]
        ]
    for part in ("type", "items", "values"):
        if part in whole:
            whole[part] = _whole(whole[part], named, seen)
    return whole


def _reader_schema(reading: Reading) -> Any:
    if reading.schema is None:
        return None
    try:
        return _parsed(SchemaText("AVRO", reading.schema))
    except SchemaRefused as error:
        raise ConfigurationError("the parser's own schema is not valid Avro") from error


def _is_bytes(schema: Any) -> bool:
    return bool(schema in ("bytes", {"type": "bytes"}))


def _name(schema: Any) -> str | None:
    if not isinstance(schema, dict):
        return None
    name: str | None = cast("dict[str, Any]", schema).get("name")
    return name


def _skip(data: bytes, at: int, path: tuple[int, ...] | None) -> object:
    return SKIP
