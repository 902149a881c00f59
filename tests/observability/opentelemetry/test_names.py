"""The names of the conventions, and those of before if the program wants them."""

import pytest

from sdml_kafka import Origin
from sdml_kafka.observability.opentelemetry.names import (
    MAX_TOPICS,
    Conventions,
    Operation,
    error_type,
    id_text,
)
from tests.support.records import make_record

ORIGIN = Origin("listener", "group", "client")


def test_a_record_is_described_by_the_names_of_1_45() -> None:
    record = make_record("orders", 3, offset=17, key=b"a", value=None)
    assert Conventions().of_record(record) == {
        "messaging.destination.partition.id": "3",
        "kafka.offset": 17,
        "kafka.message.key": "a",
        "kafka.message.tombstone": True,
    }


def test_the_older_names_stand_beside_the_new_ones_if_the_program_wants_them() -> None:
    record = make_record("orders", 3, offset=17, key=b"a", value=None)
    found = Conventions(with_older=True).of_record(record)
    assert found["messaging.kafka.offset"] == found["kafka.offset"] == 17
    assert found["messaging.kafka.message.key"] == "a"
    assert found["messaging.kafka.message.tombstone"] is True
    described = Operation(Conventions(with_older=True), "send", "send").on("orders", ORIGIN)
    assert described.attributes["messaging.system"] == "kafka"
    assert described.of_metrics["messaging.system"] == "kafka"


@pytest.mark.parametrize(
    ("opt_in", "older"),
    [
        (None, False),
        ("", False),
        ("messaging", False),
        ("http, messaging/dup", True),
        ("messaging,messaging/dup", True),
        ("http/dup", False),
    ],
)
def test_the_variable_decides(opt_in: str | None, older: bool) -> None:
    assert Conventions.chosen_by(opt_in).with_older is older


@pytest.mark.parametrize("key", [None, b"\xff\xfe", b"x" * 257])
def test_a_key_that_is_no_short_text_is_left_out(key: bytes | None) -> None:
    assert "kafka.message.key" not in Conventions().of_record(make_record(key=key))


def test_an_operation_has_the_group_and_the_client_and_its_metrics_no_client() -> None:
    described = Operation(Conventions(), "poll", "receive").on("orders", ORIGIN)
    shared = {
        "messaging.system.name": "kafka",
        "messaging.operation.name": "poll",
        "messaging.operation.type": "receive",
        "messaging.destination.name": "orders",
        "messaging.consumer.group.name": "group",
    }
    assert described.span_name == "poll orders"
    assert described.of_metrics == shared
    assert described.attributes == {**shared, "messaging.client.id": "client"}


def test_a_message_has_no_group() -> None:
    described = Operation(Conventions(), "send", "send").on("orders", ORIGIN)
    assert "messaging.consumer.group.name" not in described.attributes


def test_an_operation_on_several_topics_has_no_destination() -> None:
    described = Operation(Conventions(), "commit", "settle").on(None, ORIGIN)
    assert described.span_name == "commit"
    assert "messaging.destination.name" not in described.attributes


def test_a_call_has_the_names_of_both_conventions() -> None:
    described = Operation(Conventions(), "request", "send", "system").on("prices", ORIGIN)
    assert described.of_metrics == {"rpc.system.name": "system", "rpc.method": "prices"}
    assert described.attributes["rpc.method"] == "prices"
    assert described.attributes["messaging.destination.name"] == "prices"


def test_no_more_than_a_number_of_topics_is_kept() -> None:
    operation = Operation(Conventions(), "send", "send")
    for number in range(MAX_TOPICS * 2 + 1):
        operation.on(f"topic{number}", ORIGIN)
    assert len(operation._known) <= MAX_TOPICS  # pyright: ignore[reportPrivateUsage]  # nothing shows it
    assert operation.on("topic0", ORIGIN) is operation.on("topic0", ORIGIN)


def test_ids_are_texts_whatever_bytes_they_have() -> None:
    assert id_text(b"abc") == "abc"
    assert id_text(b"\xff") == "ff"


def test_an_error_is_named_by_its_class() -> None:
    assert error_type(ValueError("secret")) == "ValueError"
