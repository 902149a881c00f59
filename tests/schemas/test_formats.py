"""Bytes of confluent-kafka's own serializers are read, and its deserializers read ours."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    dual_schema_id_deserializer,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from sdml_kafka import (
    ConfigurationError,
    DocumentInvalid,
    Encoded,
    NotYet,
    SchemaRefused,
    SchemaRegistry,
    Skip,
)
from sdml_kafka.producing.serializers import headers_with
from sdml_kafka.schemas.formats import avro, json_schema
from sdml_kafka.schemas.formats.codec import Reading
from sdml_kafka.schemas.source import SchemaText
from tests.support.schemas import (
    BASKET,
    BILL,
    LINE,
    ORDER_AVRO,
    ORDER_JSON,
    ORDER_PROTO,
    FakeRecord,
)

pytestmark = pytest.mark.anyio

ORDER = {"id": 7, "item": "figs"}
MESSAGE = ORDER_PROTO(id=7, item="figs")
LINE_1 = LINE(id=1, item="figs")


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    with SchemaRegistry("mock://") as registry:
        yield registry


def client_of(registry: SchemaRegistry) -> SchemaRegistryClient:
    return registry._client._clients.free[0]  # type: ignore[attr-defined,no-any-return]


async def ready[T](call: Callable[[], T]) -> T:
    while True:
        try:
            return call()
        except NotYet as not_yet:
            await not_yet.prepare()


def context(headers: list[tuple[str, bytes]]) -> SerializationContext:
    return SerializationContext("orders", MessageField.VALUE, headers)  # type: ignore[arg-type]  # a list of what they take


def their_serializer(registry: SchemaRegistry, kind: str, conf: dict[str, Any]) -> Any:
    client = client_of(registry)
    if kind == "AVRO":
        return AvroSerializer(client, ORDER_AVRO, conf=conf)
    if kind == "JSON":
        return JSONSerializer(ORDER_JSON, client, conf=conf)
    return ProtobufSerializer(ORDER_PROTO, client, conf=conf)


def their_deserializer(registry: SchemaRegistry, kind: str) -> Any:
    client, conf = client_of(registry), {"schema.id.deserializer": dual_schema_id_deserializer}
    if kind == "AVRO":
        return AvroDeserializer(client, conf=conf)
    if kind == "JSON":
        return JSONDeserializer(ORDER_JSON, schema_registry_client=client, conf=conf)
    return ProtobufDeserializer(ORDER_PROTO, conf, client)


VALUES: dict[str, Any] = {"AVRO": ORDER, "JSON": ORDER, "PROTOBUF": MESSAGE}
SCHEMAS: dict[str, Any] = {"AVRO": ORDER_AVRO, "JSON": ORDER_JSON, "PROTOBUF": ORDER_PROTO}
TYPES: dict[str, Any] = {"AVRO": dict, "JSON": dict, "PROTOBUF": ORDER_PROTO}
KINDS = pytest.mark.parametrize("kind", ["AVRO", "JSON", "PROTOBUF"])


@KINDS
@pytest.mark.parametrize("in_header", [False, True])
async def test_theirs_is_read(registry: SchemaRegistry, kind: str, in_header: bool) -> None:
    headers: list[tuple[str, bytes]] = []
    conf = {"schema.id.serializer": header_schema_id_serializer} if in_header else {}
    data = their_serializer(registry, kind, conf)(VALUES[kind], context(headers))
    assert bool(headers) == in_header
    record: Any = FakeRecord(data, headers)
    parse = registry.parser(TYPES[kind])
    assert await ready(lambda: parse(record)) == VALUES[kind]
    if not in_header:
        fast = registry.parser(TYPES[kind], id_in="value")
        assert await ready(lambda: fast(record)) == VALUES[kind]
        assert data[0] == 0


@KINDS
@pytest.mark.parametrize("id_in", ["value", "header"])
async def test_ours_is_read_by_them(registry: SchemaRegistry, kind: Any, id_in: Any) -> None:
    schema = SCHEMAS[kind]
    serialize = registry.serializer(
        "orders-value",
        schema,
        kind="JSON" if kind == "JSON" else "AVRO",
        register=True,
        id_in=id_in,
    )
    await serialize.prepare()
    data: Any = serialize(VALUES[kind])
    headers: list[tuple[str, bytes]] = []
    if isinstance(data, Encoded):
        data, headers = data.value, [*data.headers]
    assert bool(headers) == (id_in == "header")
    assert their_deserializer(registry, kind)(data, context(headers)) == VALUES[kind]
    if kind != "JSON":  # which has spaces in theirs
        others: list[tuple[str, bytes]] = []
        conf: dict[str, Any] = {"auto.register.schemas": False, "use.latest.version": True}
        if headers:
            conf["schema.id.serializer"] = header_schema_id_serializer
        theirs = their_serializer(registry, kind, conf)(VALUES[kind], context(others))
        assert (data, headers) == (theirs, others)


async def test_a_nested_message_of_protobuf(registry: SchemaRegistry) -> None:
    data = ProtobufSerializer(LINE, client_of(registry))(LINE_1, context([]))
    record: Any = FakeRecord(data)
    assert await ready(lambda: registry.parser(LINE)(record)) == LINE_1
    serialize = registry.serializer("orders-value")
    await serialize.prepare()
    assert serialize(LINE_1) == data
    with pytest.raises(SchemaRefused, match=r"is shop\.Order\.Line, not shop\.Order"):
        await ready(lambda: registry.parser(ORDER_PROTO)(record))
    with pytest.raises(SchemaRefused, match="generated class"):
        await ready(lambda: registry.parser(dict)(record))
    with pytest.raises(Skip):
        await ready(lambda: registry.parser(BILL, name="shop.Bill")(record))


class ByMsgspec(msgspec.Struct):
    id: int
    item: str


class ByPydantic(pydantic.BaseModel):
    id: int
    item: str


@attrs.frozen
class ByAttrs:
    id: int
    item: str


@pytest.mark.parametrize("make", [ByMsgspec, ByPydantic, ByAttrs])
@pytest.mark.parametrize("kind", ["AVRO", "JSON"])
async def test_models(registry: SchemaRegistry, kind: Any, make: Any) -> None:
    serialize = registry.serializer("orders-value", SCHEMAS[kind], kind=kind, register=True)
    await serialize.prepare()
    value = make(id=7, item="figs")
    data = serialize(value)
    assert isinstance(data, bytes)
    record: Any = FakeRecord(data)
    assert await ready(lambda: registry.parser(make)(record)) == value
    assert their_deserializer(registry, kind)(data, context([])) == ORDER


async def test_a_model_that_does_not_fit(registry: SchemaRegistry) -> None:
    class Other(msgspec.Struct):
        id: str

    serialize = registry.serializer("orders-value", ORDER_AVRO, register=True)
    await serialize.prepare()
    record: Any = FakeRecord(serialize(ORDER))
    with pytest.raises(DocumentInvalid, match="id: Expected `str`, got `int`"):
        await ready(lambda: registry.parser(Other)(record))


async def test_avro_types_of_its_own_and_resolution(registry: SchemaRegistry) -> None:
    schema = (
        '{"type": "record", "name": "Bill", "fields": [{"name": "at", "type": {"type": "long",'
        ' "logicalType": "timestamp-millis"}}, {"name": "sum", "type": {"type": "bytes",'
        ' "logicalType": "decimal", "precision": 9, "scale": 2}}]}'
    )

    class Bill(msgspec.Struct):
        at: datetime
        sum: Decimal

    bill = Bill(datetime(2026, 1, 2, tzinfo=UTC), Decimal("12.50"))
    serialize = registry.serializer("bills-value", schema, register=True)
    await serialize.prepare()
    record: Any = FakeRecord(serialize(bill))
    assert await ready(lambda: registry.parser(Bill)(record)) == bill
    less = (
        '{"type": "record", "name": "Bill", "fields": [{"name": "paid", "type": "boolean",'
        ' "default": true}]}'
    )
    parse = registry.parser(dict, schema=less)
    assert await ready(lambda: parse(record)) == {"paid": True}
    cut: Any = FakeRecord(record.value[:-1])
    longer: Any = FakeRecord(record.value + b"x")
    for broken in (cut, longer):
        with pytest.raises((ValueError, EOFError)):
            await ready(lambda broken=broken: registry.parser(dict)(broken))  # type: ignore[misc]


async def test_several_types_in_one_topic(registry: SchemaRegistry) -> None:
    serialize = registry.serializer("orders-value", ORDER_AVRO, register=True)
    await serialize.prepare()
    record: Any = FakeRecord(serialize(ORDER))
    assert await ready(lambda: registry.parser(dict, name="shop.Order")(record)) == ORDER
    with pytest.raises(Skip):
        await ready(lambda: registry.parser(dict, name="shop.Bill")(record))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["null", "shop.Order"]', ORDER),
        ('"shop.Order"', ORDER),
        ('{"type": "array", "items": "shop.Order"}', [ORDER, ORDER]),
    ],
)
def test_avro_of_a_topic_with_several_types_by_reference(text: str, value: object) -> None:
    schema = SchemaText("AVRO", text, {"shop.Order": ORDER_AVRO})
    data = avro.writer(schema)(value)
    assert avro.reader(schema, Reading(dict, lambda read: read))(data, 0, None) == value


CART = (
    '{"type": "record", "name": "Cart", "namespace": "shop", "fields": ['
    '{"name": "first", "type": "Order"},'
    ' {"name": "more", "type": {"type": "array", "items": "Order"}},'
    ' {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["SMALL", "BIG"]}}]}'
)


@pytest.mark.parametrize(
    ("text", "is_alone"),
    [
        ('["null", "shop.Cart", "shop.Order"]', True),
        ('["shop.Order", "shop.Cart"]', True),
        (
            '{"type": "record", "name": "Van", "fields": [{"name": "a", "type": "shop.Cart"}]}',
            False,
        ),
        ('{"type": "map", "values": ["null", "shop.Cart"]}', False),
    ],
)
def test_avro_whose_references_refer_to_others(text: str, is_alone: bool) -> None:
    schema = SchemaText("AVRO", text, {"shop.Order": ORDER_AVRO, "shop.Cart": CART})
    cart = {"first": ORDER, "more": [ORDER, ORDER], "kind": "BIG"}
    value = cart if is_alone else {"a": cart}
    data = avro.writer(schema)(value)
    assert avro.reader(schema, Reading(dict, lambda read: read))(data, 0, None) == value


async def test_json_is_checked_unless_it_is_not_wanted(registry: SchemaRegistry) -> None:
    serialize = registry.serializer("orders-value", ORDER_JSON, kind="JSON", register=True)
    careless = registry.serializer("orders-value", ORDER_JSON, kind="JSON", validate=False)
    await serialize.prepare()
    await careless.prepare()
    with pytest.raises(DocumentInvalid, match="id: does not fit 'type'") as caught:
        serialize({"id": "a secret", "item": "figs"})
    assert "secret" not in str(caught.value)
    record: Any = FakeRecord(careless({"id": "7"}))
    with pytest.raises(DocumentInvalid):
        await ready(lambda: registry.parser(dict)(record))
    parse = registry.parser(dict, validate=False)
    assert await ready(lambda: parse(record)) == {"id": "7"}


@pytest.mark.parametrize(("most", "fits"), [(1, False), (10_000, True)])
async def test_matching_a_pattern_ends(
    registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch, most: int, fits: bool
) -> None:
    monkeypatch.setattr(json_schema, "MAX_BACKTRACKS", most)
    schema = '{"type": "string", "pattern": "^(a*)\\\\1b$"}'
    serialize = registry.serializer("codes-value", schema, kind="JSON", register=True)
    await serialize.prepare()
    if fits:
        assert serialize("aaaab").endswith(b'"aaaab"')
    with pytest.raises(DocumentInvalid, match="does not fit 'pattern'"):
        serialize("aaab" if fits else "aaaab")


@pytest.mark.parametrize(
    "text",
    [
        '{"$ref": "http://127.0.0.1:1/elsewhere.json"}',
        '{"$ref": "unknown.json"}',
        '{"$id": "http://127.0.0.1:1/a.json", "$ref": "unknown.json"}',
        '{"pattern": "("}',
    ],
)
def test_a_json_schema_asks_nobody_else(text: str) -> None:
    reading = Reading(dict, lambda value: value)
    with pytest.raises(SchemaRefused, match="JSON schema is not valid"):
        json_schema.reader(SchemaText("JSON", text), reading)


@pytest.mark.parametrize(
    "draft",
    [
        "http://127.0.0.1:1/own-draft",
        "http://json-schema.org/schema#",
        "https://json-schema.org/draft/2020-12/schema",
    ],
)
def test_the_draft_of_a_json_schema(draft: str) -> None:
    text = json.dumps({"$schema": draft, "type": "integer"})
    read = json_schema.reader(SchemaText("JSON", text), Reading(int, lambda value: value))
    assert read(b"7", 0, None) == 7
    with pytest.raises(DocumentInvalid):
        read(b"null", 0, None)


@pytest.mark.parametrize("own", [{}, {"$id": "http://shop/list.json"}])
@pytest.mark.parametrize("name", ["line.json", "http://shop/line.json"])
def test_a_json_schema_that_refers_to_others(name: str, own: dict[str, str]) -> None:
    line = (
        '{"properties": {"n": {"$ref": "#/definitions/n"}}, '
        '"definitions": {"n": {"type": "integer"}}}'
    )
    text = json.dumps({**own, "type": "array", "items": {"$ref": name}})
    schema = SchemaText("JSON", text, {"more.json": '{"type": "integer"}', name: line})
    read = json_schema.reader(schema, Reading(dict, lambda value: value))
    assert read(b'[{"n": 1}]', 0, None) == [{"n": 1}]
    with pytest.raises(DocumentInvalid, match=r"\[0\]\.n: does not fit 'type'"):
        read(b'[{"n": "a secret"}]', 0, None)


async def test_the_last_header_names_the_schema(registry: SchemaRegistry) -> None:
    old = registry.serializer("old-value", ORDER_JSON, kind="JSON", register=True, id_in="header")
    new = registry.serializer("orders-value", ORDER_AVRO, register=True, id_in="header")
    await old.prepare()
    await new.prepare()
    encoded, forwarded = new(ORDER), old(ORDER).headers
    record: Any = FakeRecord(encoded.value, [*forwarded, *encoded.headers])
    assert await ready(lambda: registry.parser(dict)(record)) == ORDER
    headers = [("own", b"1"), *forwarded]
    assert headers_with(headers, encoded) == (("own", b"1"), *encoded.headers)


@pytest.mark.parametrize("first", ["ours", "theirs"])
async def test_a_protobuf_that_imports_others(registry: SchemaRegistry, first: str) -> None:
    client, message = client_of(registry), BASKET(deep={"orders": [MESSAGE]})
    theirs = ProtobufSerializer(BASKET, client, conf={"auto.register.schemas": first == "theirs"})
    serialize = registry.serializer("orders-value", BASKET, register=first == "ours")
    if first == "ours":
        await serialize.prepare()
    data = theirs(message, context([]))
    await serialize.prepare()
    assert serialize(message) == data
    [reference] = client.get_latest_version("orders-value").schema.references or []
    assert (reference.name, reference.subject, reference.version) == ("deep.proto",) * 2 + (1,)
    assert client.get_subjects() == ["shop.proto", "deep.proto", "orders-value"]
    record: Any = FakeRecord(data)
    assert await ready(lambda: registry.parser(BASKET)(record)) == message


@pytest.mark.parametrize("value", [None, b"", b"plain text", b"\0\0"])
async def test_what_no_serializer_wrote(registry: SchemaRegistry, value: bytes | None) -> None:
    record: Any = FakeRecord(value)
    for parse in (registry.parser(dict), registry.parser(dict, id_in="value")):
        with pytest.raises(ValueError, match=r"without a registry|tombstone"):
            parse(record)


async def test_a_key(registry: SchemaRegistry) -> None:
    serialize = registry.serializer("orders-key", '"string"', register=True)
    await serialize.prepare()
    record: Any = FakeRecord(b"no matter", key=serialize("k1"))
    assert await ready(lambda: registry.parser(str, part="key")(record)) == "k1"


def test_an_address_without_its_scheme_says_how_it_is_written() -> None:
    with pytest.raises(ConfigurationError, match="has to begin with http:// or") as caught:
        SchemaRegistry("me:secret@localhost:8081")
    assert "secret" not in str(caught.value)


def test_what_cannot_work() -> None:
    with SchemaRegistry("mock://") as registry:
        for wrong in (
            lambda: registry.serializer(""),
            lambda: registry.serializer("a", register=True),
            lambda: registry.serializer("a", "{}", kind="PROTOBUF"),
            lambda: registry.serializer("a", "{}", kind="XML"),  # type: ignore[call-overload]
            lambda: SchemaRegistry(),
            lambda: SchemaRegistry("mock://", timeout_s=0),
            lambda: SchemaRegistry("mock://", max_schemas=0),
            lambda: SchemaRegistry("mock://", options={"no.such": "a secret"}),
        ):
            with pytest.raises(ConfigurationError) as caught:
                wrong()
            assert "secret" not in str(caught.value)
