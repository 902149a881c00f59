"""How values that handlers return to be sent become bytes."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from sdml_kafka import (
    Delivery,
    SchemaRegistry,
    Send,
    Skip,
    TopicPartition,
    to_cloudevent,
    to_json,
    to_msgspec,
    to_pydantic,
)
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


@frozen
class Order:
    id: str


class Urgent(Order):
    """An order whose class has no serializer of its own."""


class Token(bytes):
    """Bytes that have a class of their own."""


def write(order: Order) -> bytes:
    return b"order " + order.id.encode()


def sent_by(broker: MemoryBroker) -> list[bytes | None]:
    return [each.value for each in broker.records(TopicPartition("out", 0))]


def returning(make: Callable[[str], Any]) -> Callable[[str, Delivery[str]], Any]:
    async def handle(value: str, delivery: Delivery[str]) -> list[Send]:
        return [Send("out", make(value))]

    return handle


async def test_values_are_sent_as_the_serializer_of_their_class_writes_them() -> None:
    broker = broker_with("a", "urgent", "dict", "bytes", "tombstone")
    broker.create_topic("out")
    values = {
        "a": Order("a"),
        "urgent": Urgent("u"),
        "dict": {"n": 1},
        "bytes": Token(b"as it is"),
        "tombstone": None,
    }
    listener = processing_on(broker, serializers={Order: write, dict: to_json})
    async with listener, processing(listener, returning(values.__getitem__)):
        await until(lambda: listener.status().counters.finished == 5)
    assert sent_by(broker) == [b"order a", b"order u", b'{"n":1}', b"as it is", None]


async def test_a_value_without_a_serializer_stops_the_listener_and_says_what_to_give() -> None:
    broker = broker_with("a")
    broker.create_topic("out")
    with pytest.raises(ConfigurationError, match=r"Order has no serializer.*serializers=\{Order"):
        async with (
            processing_on(broker, serializers={dict: to_json}) as listener,
            processing(listener, returning(Order), on_failure=Skip()),
        ):
            await until(lambda: False)
    assert sent_by(broker) == []


async def test_an_error_of_a_serializer_is_a_failure_of_its_record() -> None:
    broker = broker_with("bad", "good")
    broker.create_topic("out")

    def picky(order: Order) -> bytes:
        if order.id == "bad":
            raise ValueError("cannot write it")
        return write(order)

    listener = processing_on(broker, serializers={Order: picky})
    async with listener, processing(listener, returning(Order), on_failure=Skip()):
        await until(lambda: listener.status().counters.finished == 2)
        (status,) = listener.status().processors.values()
        assert (status.failures, sent_by(broker)) == (1, [b"order good"])


async def test_serializers_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="serializers has a class and a function"):
        processing_on(broker_with(), serializers={"Order": write})


@pytest.mark.parametrize(
    ("factory", "call"),
    [
        (to_msgspec, "to_msgspec()"),
        (to_pydantic, "to_pydantic(Order)"),
        (to_cloudevent, "to_cloudevent()"),
        (SchemaRegistry("http://r").serializer, "registry.serializer('orders-value')"),
    ],
)
async def test_what_makes_a_serializer_has_to_be_called(factory: Any, call: str) -> None:
    with pytest.raises(ConfigurationError, match=f"The serializer of dict .*{re.escape(call)}"):
        processing_on(broker_with(), serializers={dict: factory})
