"""The choice of a Kafka client: each mistake has an error that says what to do."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from sdml_kafka import (
    ConfigurationError,
    KafkaListener,
    KafkaProducer,
    KafkaRPC,
    KafkaRPCServer,
    parse_json,
)
from sdml_kafka.transport import connect

SERVERS = "localhost:9092"
PASSWORD = "hunter2"
SPEC: Any = {"topics": ["orders"], "type": dict, "parser": parse_json}


def producer(**options: Any) -> KafkaProducer:
    return KafkaProducer(**{"bootstrap_servers": SERVERS, "client": "librdkafka", **options})


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"client": "rdkafka"}, "client is 'aiokafka' or 'librdkafka', not 'rdkafka'"),
        ({"client": None}, "client is 'aiokafka' or 'librdkafka', not None"),
        ({"client": "aiokafka", "client_options": {}}, "client_options are librdkafka's"),
        ({"linger_ms": 5}, r"linger_ms is an option of aiokafka.*\{'linger\.ms': \.\.\.\}"),
        ({"sasl_plain_password": PASSWORD}, r"sasl_plain_password is .*'sasl\.password'"),
        ({"max_waitng": 5}, r"client_options; it has no option max_waitng \(did you mean max_wai"),
        ({"producer_factory": print}, "producer_factory makes clients of aiokafka"),
        ({"bootstrap_servers": None}, "Give bootstrap_servers"),
        ({"bootstrap_servers": "localhost:abc"}, "bootstrap_servers: address 1 of 1"),
        ({"client_options": {"lingr.ms": PASSWORD}}, "no option 'lingr.ms'. Did you mean 'linger"),
        ({"client_options": {"enable.auto.commit": True}}, "'enable.auto.commit' cannot be given"),
        ({"client_options": "linger.ms=5"}, "client_options is a mapping"),
    ],
)
def test_a_producer_that_cannot_be(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        producer(**options)
    assert PASSWORD not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_a_producer_that_can_be() -> None:
    made = producer(client_options={"linger.ms": 5, "compression.type": "lz4"})
    assert made.status().client == "librdkafka"
    assert KafkaProducer(bootstrap_servers=SERVERS).status().client == "aiokafka"


def listener(**options: Any) -> KafkaListener:
    return KafkaListener([SPEC], **{"bootstrap_servers": SERVERS, "group_id": "g", **options})


def client(**options: Any) -> KafkaRPC:
    return KafkaRPC(bootstrap_servers=SERVERS, **options)


def server(**options: Any) -> KafkaRPCServer:
    return KafkaRPCServer(**{"bootstrap_servers": SERVERS, "group_id": "g", **options})


@pytest.mark.parametrize("make", [producer, listener, client, server])
def test_without_the_extra_the_error_names_it(
    make: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    monkeypatch.setattr(connect, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'sdml-kafka-client\[librdkafka\]'"):
        make(client="librdkafka")


@pytest.mark.parametrize("make", [listener, client, server])
def test_options_that_do_not_suit_the_client(make: Callable[..., object]) -> None:
    with pytest.raises(ConfigurationError, match="client_options are librdkafka's"):
        make(client_options={"linger.ms": 5})
    with pytest.raises(ConfigurationError, match="client is 'aiokafka' or 'librdkafka'"):
        make(client="rdkafka")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"session_timeout_ms": 6000}, r"session_timeout_ms is an option of aiokafka"),
        ({"auto_offset_reset": "earlist"}, "auto_offset_reset is 'earliest', 'latest' or 'none'"),
        ({"consumer_factory": print}, "consumer_factory makes clients of aiokafka"),
        ({"client_options": {"enable.auto.commit": True}}, "the package commits by itself"),
        (
            {"client_options": {"group.protocol": "consumer", "session.timeout.ms": 6000}},
            "'session.timeout.ms': not with 'group.protocol': 'consumer'",
        ),
    ],
)
def test_a_listener_that_cannot_be(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        listener(client="librdkafka", **options)


def test_a_listener_takes_options_of_a_consumer_and_of_its_producer() -> None:
    options = {"fetch.wait.max.ms": 50, "linger.ms": 5}
    made = listener(auto_offset_reset="earliest", client="librdkafka", client_options=options)
    assert made.status().client == "librdkafka"


@pytest.mark.parametrize("make", [client, server])
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"group_id": ""}, "group_id"),
        ({"request_timeout_ms": 500}, "request_timeout_ms is an option of aiokafka"),
        ({"consumer_factory": print, "group_id": None}, "consumer_factory makes clients of aio"),
        ({"client_options": {"fetch.wait.max": 5}}, "no option 'fetch.wait.max'"),
        ({"client_options": 5}, "client_options is a mapping"),
    ],
)
def test_a_client_or_server_that_cannot_be(
    make: Callable[..., object], options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        make(client="librdkafka", **options)


@pytest.mark.parametrize("reset", ["latest", "smallest"])
def test_a_server_begins_where_it_is_told_to(reset: str) -> None:
    server(client="librdkafka", client_options={"auto.offset.reset": reset})


def test_the_status_names_the_client() -> None:
    for name in ("aiokafka", "librdkafka"):
        assert client(client=name).status().client == name
        assert server(client=name).status().client == name
