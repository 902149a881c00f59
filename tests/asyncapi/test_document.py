"""A document says what a program's objects declare, and is valid by the official schema."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Struct

from examples.order_pipeline import Bank, pipeline
from sdml_kafka import (
    Call,
    ConfigurationError,
    DeadLetter,
    Delivery,
    KafkaListener,
    KafkaProducer,
    KafkaRPC,
    KafkaRPCServer,
    RetryTopics,
    parse_bytes,
    parse_json,
    parse_msgspec,
    to_msgspec,
)
from sdml_kafka.asyncapi import Sends, document
from sdml_kafka.asyncapi.declared import Describable
from tests.support.asyncapi_schema import check_document

WHERE: Any = {"bootstrap_servers": "one:9092,two:9092"}
SECRET = "not to be seen"


class Order(Struct):
    """What somebody has bought."""

    item: str
    cents: int = 0


class Invoice(Struct):
    cents: int


def described(*objects: Describable) -> dict[str, Any]:
    found = document(*objects, title="Shop")
    check_document(found)
    json.dumps(found)
    return found


def listener(**options: Any) -> KafkaListener:
    orders = {"topics": ["orders"], "type": Order, "parser": parse_msgspec(Order)}
    raw = {"topics": ["raw"], "type": bytes, "parser": parse_bytes}
    return KafkaListener([orders, raw], group_id="billing", **WHERE, **options)  # type: ignore[list-item]


async def bill(order: Order, delivery: Delivery[Order]) -> None:
    """Write an invoice.

    One for each order.
    """


def test_what_a_listener_reads_is_received() -> None:
    found = described(listener())
    assert list(found["channels"]) == ["orders", "raw"]
    orders = found["channels"]["orders"]
    assert orders["messages"]["Order"] == {
        "name": "Order",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/Order"},
    }
    assert (
        found["channels"]["raw"]["messages"]["bytes"]["contentType"] == "application/octet-stream"
    )
    order = found["components"]["schemas"]["Order"]
    assert (order["required"], order["description"]) == (["item"], "What somebody has bought.")
    operation = found["operations"]["receive-orders-Order"]
    assert operation["action"] == "receive"
    assert operation["bindings"]["kafka"]["groupId"]["enum"] == ["billing"]


def test_a_processor_is_an_operation_with_its_docstring_and_topics() -> None:
    reading = listener()
    reading.processor(Order, retry=RetryTopics(5, 60), on_failure=DeadLetter())(bill)
    found = described(reading)
    assert found["operations"]["bill"]["summary"] == "Write an invoice."
    assert found["operations"]["bill"]["description"] == "One for each order."
    assert "receive-orders-Order" not in found["operations"]
    assert {"orders-retry-5000", "orders-retry-60000", "orders-dlt"} <= found["channels"].keys()
    actions = {name: each["action"] for name, each in found["operations"].items()}
    assert actions == {
        "receive-raw-bytes": "receive",
        "bill": "receive",
        "bill-retry-send-orders-retry-5000": "send",
        "bill-retry-orders-retry-5000": "receive",
        "bill-retry-send-orders-retry-60000": "send",
        "bill-retry-orders-retry-60000": "receive",
        "bill-dead-letter-orders-dlt": "send",
    }


def test_one_retry_topic_for_all_attempts_is_described_once() -> None:
    reading = listener()
    reading.processor(Order, retry=RetryTopics(5, 5, suffix="none"))(bill)
    operations = described(reading)["operations"]
    retrying = sorted(name for name in operations if "retry" in name)
    assert retrying == ["bill-retry-orders-retry", "bill-retry-send-orders-retry"]


def test_records_that_cannot_be_parsed_go_to_dead_letters() -> None:
    found = described(listener(on_parse_error=DeadLetter("{topic}.bad")))
    assert found["operations"]["dead-letters-raw.bad"]["action"] == "send"


def server() -> KafkaRPCServer:
    answering = KafkaRPCServer(group_id="pricing", **WHERE)

    @answering.handler("price", parser=parse_msgspec(Order), serializer=to_msgspec("msgpack"))
    async def price(order: Order, call: Call) -> Invoice | None:
        """Say what an order costs."""

    @answering.handler("prices", "prices-eu", parser=parse_json, serializer=to_msgspec())
    async def prices(order: dict[str, int], call: Call) -> AsyncIterator[Invoice]:
        yield Invoice(1)

    @answering.handler("echo")
    def echo(value: bytes, call: Call) -> bytes:
        return value

    return answering


def test_a_handler_of_requests_replies_where_the_request_says() -> None:
    found = described(server())
    price = found["operations"]["price"]
    assert price["summary"] == "Say what an order costs."
    assert price["reply"] == {
        "address": {"location": "$message.header#/x-reply-topic"},
        "channel": {"$ref": "#/channels/price:replies"},
        "messages": [{"$ref": "#/channels/price:replies/messages/Invoice"}],
    }
    replies = found["channels"]["price:replies"]
    assert replies["address"] is None
    assert replies["messages"]["Invoice"]["contentType"] == "application/msgpack"
    request = found["channels"]["price"]["messages"]["Order"]
    assert request["correlationId"] == {"location": "$message.header#/request_id"}
    assert {"prices-prices", "prices-prices-eu", "echo"} <= found["operations"].keys()
    assert "Invoice" in found["channels"]["prices:replies"]["messages"]
    assert "payload" not in found["channels"]["echo"]["messages"]["bytes"]


def test_replies_that_a_client_reads_carry_the_id_of_their_call() -> None:
    spec = {"topics": ["replies"], "type": dict, "parser": parse_json}
    rpc = KafkaRPC([spec], corr_header_keys=["call-id"], **WHERE)  # type: ignore[list-item]
    message = described(rpc)["channels"]["replies"]["messages"]["dict"]
    assert message["correlationId"] == {"location": "$message.header#/call-id"}
    rpc = KafkaRPC([spec], dialect="spring", **WHERE)  # type: ignore[list-item]
    message = described(rpc)["channels"]["replies"]["messages"]["dict"]
    assert message["correlationId"] == {"location": "$message.header#/kafka_correlationId"}


def test_what_is_sent_is_described_by_hand() -> None:
    invoices = Sends("invoices", Invoice, "What somebody owes")
    found = described(KafkaProducer(**WHERE), invoices)
    assert found["operations"]["send-invoices-Invoice"]["action"] == "send"
    message = found["channels"]["invoices"]["messages"]["Invoice"]
    assert message["summary"] == "What somebody owes"
    assert message["contentType"] == "application/json"
    assert found["channels"]["invoices"]["servers"] == [
        {"$ref": "#/servers/kafka"},
        {"$ref": "#/servers/kafka-2"},
    ]


@pytest.mark.parametrize(
    ("options", "scheme"),
    [
        (
            {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "SCRAM-SHA-256",
                "sasl_plain_username": "me",
                "sasl_plain_password": SECRET,
            },
            "scramSha256",
        ),
        (
            {
                "client": "librdkafka",
                "client_options": {
                    "security.protocol": "sasl_plaintext",
                    "sasl.mechanism": "PLAIN",
                    "sasl.username": "me",
                    "sasl.password": SECRET,
                },
            },
            "plain",
        ),
    ],
    ids=["aiokafka", "librdkafka"],
)
def test_brokers_are_shown_with_how_to_log_in_but_no_secret(
    options: dict[str, Any], scheme: str
) -> None:
    found = described(listener(**options))
    assert [each["host"] for each in found["servers"].values()] == ["one:9092", "two:9092"]
    [reference] = found["servers"]["kafka"]["security"]
    key = reference["$ref"].rpartition("/")[2]
    assert found["components"]["securitySchemes"][key]["type"] == scheme
    assert SECRET not in json.dumps(found)


def test_all_of_a_program_goes_into_one_document() -> None:
    objects = listener(), server(), KafkaProducer(**WHERE), Sends("invoices", Invoice)
    found = described(*objects)
    assert found == document(*objects, title="Shop")
    assert len(found["servers"]) == 2


def test_an_example_is_described() -> None:
    found = described(pipeline("localhost:9092", Bank()))
    assert found["operations"]["charge"]["channel"] == {"$ref": "#/channels/payments"}
    assert "payments-dlt" in found["channels"]


def test_types_of_one_name_that_differ_are_refused() -> None:
    def other() -> type[Struct]:
        class Order(Struct):
            pieces: int

        return Order

    with pytest.raises(ConfigurationError, match="two types are called Order"):
        document(listener(), Sends("others", other()))


def test_what_cannot_be_described_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not a str"):
        document("listener")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="describes nothing"):
        document()
    with pytest.raises(ConfigurationError, match="cannot be a topic"):
        Sends("a topic", bytes)


def test_a_topic_that_is_called_like_replies_is_a_channel_of_its_own() -> None:
    found = described(server(), Sends("price.replies", bytes))
    assert found["channels"]["price.replies"]["address"] == "price.replies"
    assert found["channels"]["price:replies"]["address"] is None
