"""The official schema of AsyncAPI, as a check of documents."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

SCHEMA = Path(__file__).parents[1] / "asyncapi" / "schema" / "asyncapi-3.0.0.json"


def check_document(document: dict[str, Any]) -> None:
    """Check a document by the schema, and that each of its references leads to something."""
    _validator().validate(document)
    for reference in _references(document):
        assert reference.startswith("#/")
        value: Any = document
        for key in reference.removeprefix("#/").split("/"):
            value = value[key]


@cache
def _validator() -> Draft7Validator:
    return Draft7Validator(json.loads(SCHEMA.read_text()))


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [each for key, each in value.items() if key == "$ref"]
        return own + [found for each in value.values() for found in _references(each)]
    if isinstance(value, list):
        return [found for each in value for found in _references(each)]
    return []
