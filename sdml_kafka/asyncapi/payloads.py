"""Describe types as JSON Schemas, by msgspec or pydantic, and say how their values are written.

msgspec describes its structs, dataclasses, attrs classes, `TypedDict` and plain types; pydantic its
models. A type that neither knows is named, and not described.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.parsing.codec_notes import BYTES, TEXT, content_type_of

Json = dict[str, Any]
SCHEMAS = "#/components/schemas/"
_NOT_OF_A_KEY = re.compile(r"[^A-Za-z0-9_.-]+")


def key_of(text: str) -> str:
    """Return a text as the key of a part of a document, which has few characters."""
    return _NOT_OF_A_KEY.sub("-", text).strip("-") or "value"


def key_of_type(type_: Any) -> str:
    """Return the key that a type has among messages."""
    return key_of(name_of(type_))


def name_of(type_: Any) -> str:
    """Return the name of a type, without its module."""
    if isinstance(type_, type) and not get_args(type_):
        return type_.__name__
    return re.sub(r"\b(?:\w+\.)+", "", str(type_))


def content_type(type_: Any, codec: Callable[..., Any] | None) -> str | None:
    """Return how values of a type are written, None if the program alone knows.

    Args:
        type_: The type of the values.
        codec: The parser or serializer; None for bytes as they are.
    """
    if codec is None:
        return TEXT if type_ is str else BYTES
    return content_type_of(codec)


class Payloads:
    """The schemas of a document, described as they are asked for."""

    def __init__(self) -> None:
        self.components: dict[str, Json] = {}
        """The schemas that others refer to, by name."""

    def schema(self, type_: Any) -> Json | None:
        """Return the schema of a type's values, None if they are bytes.

        Raises:
            ConfigurationError: Two types of the same name differ.
        """
        if type_ in (bytes, bytearray, memoryview):
            return None
        if type_ is Any or type_ is object:
            return {}
        for describe in (_by_pydantic, _by_msgspec):
            if (found := describe(type_)) is not None:
                schema, components = found
                self._add(components)
                return schema
        return {"title": name_of(type_)}

    def _add(self, components: Mapping[str, Json]) -> None:
        for name, schema in components.items():
            known = self.components.setdefault(name, schema)
            if known != schema:
                raise ConfigurationError(
                    f"two types are called {name}, and differ: an AsyncAPI document has one "
                    "schema for each name"
                )


def _by_pydantic(type_: Any) -> tuple[Json, Mapping[str, Json]] | None:
    """Return the schema of a type that is made of pydantic's models, None for others."""
    if not any(hasattr(part, "__pydantic_core_schema__") for part in _parts(type_)):
        return None
    from pydantic import PydanticUserError, TypeAdapter

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(type_)
        schema = adapter.json_schema(ref_template=SCHEMAS + "{model}")
    except (PydanticUserError, NameError):  # it holds what JSON Schema has no words for
        return None
    components = schema.pop("$defs", {})
    title = schema.get("title")
    if title is None or "properties" not in schema:
        return schema, components
    return {"$ref": SCHEMAS + key_of(title)}, {**components, key_of(title): schema}


def _parts(type_: Any) -> list[Any]:
    return [type_, get_origin(type_), *(part for each in get_args(type_) for part in _parts(each))]


def _by_msgspec(type_: Any) -> tuple[Json, Mapping[str, Json]] | None:
    try:
        import msgspec
    except ImportError:
        return None
    try:
        (schema,), components = msgspec.json.schema_components(
            [type_], ref_template=SCHEMAS + "{name}"
        )
    except (TypeError, RuntimeError, NameError):  # it cannot decode to such a type
        return None
    return schema, components
