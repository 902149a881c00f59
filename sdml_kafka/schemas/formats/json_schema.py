"""JSON Schema, by jsonschema-rs; a schema may refer to those that came with it alone."""

import json
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import urljoin

from sdml_kafka.errors import DocumentInvalid, SchemaRefused
from sdml_kafka.parsing.json_library import decode_json
from sdml_kafka.parsing.models import MAX_FIELDS, to_json
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.schemas.formats.codec import Read, Reading, Written, library
from sdml_kafka.schemas.source import SchemaText


def reader(schema: SchemaText, reading: Reading) -> Read:
    """Return what reads JSON, and checks it against its schema unless the program wants it not.

    Raises:
        SchemaRefused: The schema is not valid.
    """
    document = _loaded(schema.text)
    if reading.name is not None and reading.name != _fields(document).get("title"):
        return lambda data, at, path: SKIP
    check = _checker(schema, document) if reading.validate else None
    build = reading.build

    def read(data: bytes, at: int, path: tuple[int, ...] | None) -> object:
        value = decode_json(data[at:])
        if check is not None:
            check(value)
        return build(value)

    return read


def writer(schema: SchemaText, *, validate: bool) -> Written[Any]:
    """Return what writes JSON, which is checked against its schema before.

    Raises:
        SchemaRefused: The schema is not valid.
    """
    if not validate:
        return Written(to_json)
    check = _checker(schema, _loaded(schema.text))

    def write(value: Any) -> bytes:
        data = to_json(value)
        check(decode_json(data))
        return data

    return Written(write)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaRefused("the schema is not JSON") from error


def _fields(document: Any) -> dict[str, Any]:
    """Return the fields of a schema, none if it is `true` or `false`."""
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _checker(schema: SchemaText, document: Any) -> Callable[[Any], None]:
    """Return what raises DocumentInvalid for a document that does not match."""
    rs = library("jsonschema_rs")
    try:
        make, draft = rs.Draft7Validator, _fields(document).get("$schema")
        if isinstance(draft, str) and "json-schema.org/" in draft:
            make = rs.validator_for
        elif isinstance(draft, str):  # a draft of somebody's own is read as the most frequent one
            document = {name: part for name, part in document.items() if name != "$schema"}
        resources = list(_resources(schema, document))
        known = rs.Registry(resources, draft=rs.Draft7, retriever=_retrieve_nothing)
        # The pattern is the schema's, the text to match a stranger's: not every pair of them ends.
        patterns = rs.FancyRegexOptions(backtrack_limit=MAX_BACKTRACKS)
        validator = make(document, registry=known, validate_formats=False, pattern_options=patterns)
    except Exception as error:  # of whichever class: the schema came from outside
        raise SchemaRefused(f"the JSON schema is not valid ({type(error).__name__})") from error

    def check(value: Any) -> None:
        fields: dict[str, str] = {}
        for error in validator.iter_errors(value):
            path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.instance_path)
            # The library's own text quotes the document.
            fields.setdefault(path.removeprefix("."), f"does not fit {error.kind.name!r}")
            if len(fields) >= MAX_FIELDS:
                break
        if fields:
            raise DocumentInvalid(fields)

    return check


def _resources(schema: SchemaText, document: Any) -> Iterator[tuple[str, Any]]:
    """Return what a schema refers to, by the names that it may use: relative to its own, or not."""
    own = _fields(document).get("$id")
    for name, text in schema.references.items():
        loaded = _loaded(text)
        yield name, loaded
        if isinstance(own, str) and (resolved := urljoin(own, name)) != name:
            yield resolved, loaded


def _retrieve_nothing(uri: str) -> Any:
    """Refuse to fetch a schema: no schema makes this program ask another server."""
    raise LookupError("it is none of the schema's references")


MAX_BACKTRACKS = 10_000
"""Steps back that matching a text against a `pattern` may take, before it counts as no match."""
