"""Typical mistakes in what is passed: an error at once names option, value and remedy."""

import ssl
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka import ConfigurationError, KafkaListener, KafkaRPC, KafkaRPCServer, parse_json
from sdml_kafka.transport.aiokafka.consumer.adapter import connect
from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer

Make = Callable[..., object]
SPEC: Any = {"topics": ["orders"], "type": dict, "parser": parse_json}
PASSWORD = "hunter2"  # which no error may show


def listener(**options: Any) -> object:
    return KafkaListener(
        [SPEC], **{"bootstrap_servers": "localhost:9092", "group_id": "g", **options}
    )


def client(**options: Any) -> object:
    return KafkaRPC(**{"bootstrap_servers": "localhost:9092", **options})


def server(**options: Any) -> object:
    return KafkaRPCServer(**{"bootstrap_servers": "localhost:9092", "group_id": "g", **options})


each = pytest.mark.parametrize("make", [listener, client, server])


@each
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"session_timeout_ms": "10000"}, "session_timeout_ms is a whole number .*, not a str"),
        ({"session_timeout_ms": -5}, "session_timeout_ms is .* 1 to 2147483647, not -5"),
        ({"session_timeout_ms": 0}, "session_timeout_ms .*, not 0"),
        ({"session_timeout_ms": None}, "session_timeout_ms .*, not None"),
        ({"session_timeout_ms": 1e4}, r"session_timeout_ms is a whole number .*, not 10000\.0"),
        ({"session_timeout_ms": 2000}, r"heartbeat_interval_ms \(3000\) .* less than .*\(2000\)"),
        ({"heartbeat_interval_ms": 20_000}, r"\(20000\) has to be less than session_timeout_ms"),
        ({"fetch_max_wait_ms": 20_000}, r"\(20000\) has to be less than request_timeout_ms"),
        ({"request_timeout_ms": -1}, "request_timeout_ms is a number .*, not -1"),
        ({"request_timeout_ms": True}, "request_timeout_ms is a number .*, not True"),
        ({"max_partition_fetch_bytes": 0}, "max_partition_fetch_bytes .*, not 0"),
        ({"connections_max_idle_ms": "1"}, "connections_max_idle_ms is a number .*, not a str"),
        ({"max_poll_records": -1}, "max_poll_records is a number, 1 or more, not -1"),
        ({"client_id": 5}, "client_id is a str, not 5"),
        ({"group_id": 5}, "group_id is the name of a group, a str, not 5"),
        ({"group_id": "\udcff"}, "group_id is UTF-8"),
        ({"group_id": ["g"]}, "group_id is the name of a group"),
        ({"group_id": ""}, "group_id"),
        ({"group_instance_id": 4}, "group_instance_id is a str, not 4"),
        ({"partition_assignment_strategy": "range"}, "is a tuple of assignors, not a str"),
        ({"enable_auto_commit": "no"}, "enable_auto_commit is True or False, not a str"),
        ({"isolation_level": ["read_committed"]}, "^isolation_level is"),
        ({"security_protocol": "SSL"}, "'SSL' needs ssl_context"),
        ({"security_protocol": "SASL_PLAINTEXT"}, "needs sasl_plain_username"),
        ({"sasl_plain_password": PASSWORD}, "are not used with security_protocol 'PLAINTEXT'"),
        ({"sasl_plain_password": [PASSWORD]}, "sasl_plain_password is a str, not a list"),
        ({"ssl_context": PASSWORD}, r"ssl_context is an ssl\.SSLContext .*, not a str"),
        ({"ssl_context": ssl.create_default_context()}, "ssl_context is not used with"),
        ({"start_timeout": "10"}, "start_timeout is in seconds, 0.1 or more, not '10'"),
        ({"start_timeout": None}, "start_timeout .* not None"),
        ({"stop_timeout": True}, "stop_timeout .* not True"),
    ],
)
def test_a_value_that_cannot_be(make: Make, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        make(**options)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("make", [client, server])
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"linger_ms": -1}, "linger_ms .*, not -1"),
        ({"max_batch_size": "16k"}, "max_batch_size is a number, 1 or more, not a str"),
        ({"max_request_size": 0}, "max_request_size .*, not 0"),
        ({"acks": True}, "^acks is 'all', 0, 1 or -1"),
        ({"enable_idempotence": "yes"}, "enable_idempotence is True or False"),
        ({"enable_idempotence": True, "acks": 1}, "enable_idempotence=True needs acks='all'"),
        ({"transactional_id": "id"}, "transactional_id: calls make no transactions"),
        ({"value_serializer": str}, "value_serializer: .* leave it out"),
        ({"partitioner": 5}, "partitioner is a function"),
    ],
)
def test_a_value_of_the_producer_that_cannot_be(
    make: Make, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        make(**options)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"reply_partitions": "4"}, "reply_partitions is a whole number, not '4'"),
        ({"reply_partitions": 1.5}, r"reply_partitions is a whole number, not 1\.5"),
        ({"reply_retention": "4"}, "reply_retention is more than 0, not '4'"),
        ({"parsers": "orders"}, "parsers is a list of specs, not a str"),
    ],
)
def test_a_value_of_the_client_that_cannot_be(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        client(**options)


@pytest.mark.parametrize("value", ["5", None, 1.5, True])
def test_a_number_of_records_that_is_none(value: object) -> None:
    with pytest.raises(ConfigurationError, match="max_in_flight is 1 or more, not"):
        listener(max_in_flight=value)


@pytest.mark.parametrize(
    ("specs", "why"),
    [
        (5, "parsers is a list of specs, not a int"),
        ("orders", "parsers is a list of specs, not a str"),
        ([None], r"parsers\[0\] is a dict .*, not a NoneType"),
        (["orders"], r"parsers\[0\] is a dict .*, not a str"),
        ([{"topic": ["orders"], "type": dict, "parser": parse_json}], "lacks topics; .* 'topic'"),
        ([{**SPEC, "type": "dict"}], "type is a class, not the text 'dict'"),
    ],
)
def test_specs_that_are_none(specs: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        KafkaListener(specs, bootstrap_servers="localhost:9092", group_id="g")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"auto_offset_reset": "earlist"}, "^auto_offset_reset is .*Did you mean 'earliest'"),
        ({"isolation_level": "read_comitted"}, "^isolation_level is .*Did you mean"),
        ({"session_timeout_ms": "10000"}, "session_timeout_ms is a whole number"),
        ({"heartbeat_interval_ms": 10_000}, r"has to be less than session_timeout_ms \(10000\)"),
        ({"enable_auto_commit": "no"}, "enable_auto_commit is True or False"),
        ({"auto_ofset_reset": "latest"}, "consumer_factory raised TypeError: .*auto_ofset_reset"),
        ({"security_protocol": "SSL"}, "consumer_factory raised ValueError: .*ssl_context"),
    ],
)
async def test_a_consumer_factory_with_an_option_that_cannot_be(
    options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        async with connect(lambda: AIOKafkaConsumer(group_id="g", **options))():
            pytest.fail("opened")


@pytest.mark.anyio
async def test_a_consumer_factory_whose_options_are_right() -> None:
    options: Any = {"auto_offset_reset": "EARLIEST", "max_poll_records": 5}  # aiokafka takes both
    async with connect(lambda: AIOKafkaConsumer(group_id="g", **options))():
        pass


@pytest.mark.anyio
async def test_a_producer_factory_that_raises() -> None:
    def factory() -> object:
        raise TypeError("no such option")

    with pytest.raises(ConfigurationError, match="producer_factory raised TypeError: no such"):
        async with connect_producer(factory)():
            pytest.fail("opened")
