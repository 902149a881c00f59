"""Types become schemas, by msgspec or pydantic, and what is of neither keeps its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import attrs
import pytest
from msgspec import Struct
from pydantic import BaseModel

from sdml_kafka import parse_bytes, parse_json, parse_msgspec, parse_pydantic, parse_text, to_json
from sdml_kafka.asyncapi.payloads import Payloads, content_type, key_of_type
from sdml_kafka.asyncapi.signatures import hints_of


class Item(Struct):
    number: int


@dataclass
class Line:
    item: Item


@attrs.define
class Basket:
    lines: list[Line]


class Named(TypedDict):
    name: str


class Inner(BaseModel):
    number: int


class Model(BaseModel):
    inner: Inner


class Opaque:
    pass


class Calls(BaseModel):
    function: Callable[[], None]


@dataclass
class Unresolved:
    item: "Missing"  # type: ignore[name-defined]  # noqa: F821  as if imported for type checkers


@pytest.mark.parametrize(
    ("type_", "components"),
    [
        (Item, {"Item"}),
        (Basket, {"Basket", "Line", "Item"}),
        (Named, {"Named"}),
        (Model, {"Model", "Inner"}),
        (list[Model], {"Model", "Inner"}),
        (Item | None, {"Item"}),
        (dict[str, int], set()),
        (str, set()),
    ],
)
def test_a_type_is_described_with_all_that_it_consists_of(type_: Any, components: set[str]) -> None:
    payloads = Payloads()
    schema = payloads.schema(type_)
    assert schema
    assert payloads.components.keys() == components
    again = Payloads()
    assert (again.schema(type_), again.components) == (schema, payloads.components)


def test_what_nobody_describes_keeps_its_name() -> None:
    payloads = Payloads()
    for kind in (Opaque, Calls, Unresolved):
        assert payloads.schema(kind) == {"title": kind.__name__}
    assert payloads.schema(Any) == {}
    assert payloads.schema(bytes) is None


@pytest.mark.parametrize(
    ("codec", "written"),
    [
        (parse_json, "application/json"),
        (parse_msgspec(Item), "application/json"),
        (parse_msgspec(Item, "msgpack"), "application/msgpack"),
        (parse_pydantic(Model), "application/json"),
        (parse_text, "text/plain"),
        (parse_bytes, "application/octet-stream"),
        (to_json, "application/json"),
        (None, "application/octet-stream"),
        (lambda record: Item(1), None),
        ([].append, None),
    ],
)
def test_parsers_and_serializers_of_ours_say_what_they_read_and_write(
    codec: Callable[..., Any] | None, written: str | None
) -> None:
    assert content_type(Item, codec) == written


def test_keys_have_few_characters() -> None:
    assert key_of_type(dict[str, Item]) == "dict-str-Item"
    assert key_of_type(Item | None) == "Item-None"
    assert key_of_type(Item) == "Item"


class Caller:
    async def __call__(self, item: Item, call: Any) -> "Item": ...  # type: ignore[empty-body]


def untyped(item, call):  # type: ignore[no-untyped-def]
    return item


def unknown(item: "Nowhere", call: Any) -> "Nowhere": ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "hints"),
    [(Caller(), (Item, Item)), (untyped, (Any, Any)), (unknown, (Any, Any)), (len, (Any, Any))],
    ids=["an object", "no types", "unknown types", "of C"],
)
def test_a_handler_without_known_types_takes_anything(
    function: Callable[..., Any], hints: tuple[Any, Any]
) -> None:
    assert hints_of(function) == hints
