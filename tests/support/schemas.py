"""A registry in memory whose answers take time, records as parsers take them, and schemas."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import anyio
from attrs import frozen
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from sdml_kafka import SchemaUnknown
from sdml_kafka.schemas.source import Registered, RegistryAway, SchemaId, SchemaText

ORDER_AVRO = (
    '{"type": "record", "name": "Order", "namespace": "shop", "fields": ['
    '{"name": "id", "type": "long"}, {"name": "item", "type": "string"}]}'
)
ORDER_JSON = (
    '{"$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object",'
    ' "properties": {"id": {"type": "integer"}, "item": {"type": "string"}},'
    ' "required": ["id", "item"]}'
)


def _generated() -> tuple[Any, ...]:
    """Return classes of Protobuf: the first message of a file, the second, and one in that.

    Behind them stands one of a file that imports another, which imports the first one.
    """
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    numbers = descriptor_pb2.FieldDescriptorProto
    fields = [
        numbers(name="id", number=1, type=numbers.TYPE_INT64, label=numbers.LABEL_OPTIONAL),
        numbers(name="item", number=2, type=numbers.TYPE_STRING, label=numbers.LABEL_OPTIONAL),
    ]
    file.message_type.add(name="Bill", field=fields)
    order = file.message_type.add(name="Order", field=fields)
    order.nested_type.add(name="Line", field=fields)
    of_order = numbers(name="orders", number=1, type=numbers.TYPE_MESSAGE, type_name=".shop.Order")
    of_order.label = numbers.LABEL_REPEATED
    timestamp = "google/protobuf/timestamp.proto"
    deep = descriptor_pb2.FileDescriptorProto(name="deep.proto", package="deep", syntax="proto3")
    deep.dependency.extend(["shop.proto", timestamp])
    deep.message_type.add(name="Orders", field=[of_order])
    basket = descriptor_pb2.FileDescriptorProto(name="basket.proto", syntax="proto3")
    basket.dependency.append("deep.proto")
    of_deep = numbers(name="deep", number=1, type=numbers.TYPE_MESSAGE, type_name=".deep.Orders")
    of_deep.label = numbers.LABEL_OPTIONAL
    basket.message_type.add(name="Basket", field=[of_deep])
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    for each in (file, deep, basket):
        pool.Add(each)
    names = "shop.Bill", "shop.Order", "shop.Order.Line", "Basket"
    return tuple(
        message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names
    )


BILL, ORDER_PROTO, LINE, BASKET = _generated()

_SPACE = UUID("2f0a7c1e-32a1-4f9b-a9f5-5b1f5e0c9a10")


class FakeRegistry:
    """A `RegistryClient` in the event loop's own time."""

    def __init__(self, takes_s: float = 1.0) -> None:
        self.takes_s = takes_s
        self.is_away = False
        self.error: Exception | None = None
        self.asked: list[object] = []
        self.schemas: list[SchemaText] = []
        self.subjects: dict[str, list[int]] = {}

    def add(self, subject: str, schema: SchemaText) -> int:
        """Register a schema, and return its number."""
        self.schemas.append(schema)
        self.subjects.setdefault(subject, []).append(len(self.schemas))
        return len(self.schemas)

    async def fetch(self, schema_id: SchemaId, /) -> SchemaText:
        await self._answer(schema_id)
        for number, schema in enumerate(self.schemas, start=1):
            if schema_id in (number, guid_of(number)):
                return schema
        raise SchemaUnknown("the registry does not know it")

    async def registered(
        self, subject: str, schema: SchemaText | None, /, *, register: bool
    ) -> Registered:
        await self._answer(subject)
        numbers = self.subjects.get(subject, [])
        for number in reversed(numbers):
            if schema is None or self.schemas[number - 1] == schema:
                return Registered(number, guid_of(number), self.schemas[number - 1])
        if schema is None or not register:
            raise SchemaUnknown("the registry does not know it")
        number = self.add(subject, schema)
        return Registered(number, guid_of(number), schema)

    async def _answer(self, asked: object) -> None:
        self.asked.append(asked)
        await anyio.sleep(self.takes_s)
        if self.is_away:
            raise RegistryAway("there is no connection")
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        pass


def guid_of(number: int) -> UUID:
    return uuid5(_SPACE, str(number))


@frozen
class FakeRecord:
    """A record as far as parsers look at it."""

    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    key: bytes | None = None
    topic: str = "orders"
    partition: int = 0
    offset: int = 0
