"""Settings that are wrong: an error when the object is made names the option and what is near."""

from collections.abc import Callable
from typing import Any

import pytest

from sdml_kafka import ConfigurationError, KafkaListener, KafkaRPC, KafkaRPCServer, parse_json

Make = Callable[..., object]


def listener(topic: str = "orders", **options: Any) -> object:
    spec: Any = {"topics": [topic], "type": dict, "parser": parse_json}
    given = {"bootstrap_servers": "localhost:9092", "group_id": "g", **options}
    return KafkaListener([spec], **given)


def client(**options: Any) -> object:
    return KafkaRPC(**{"bootstrap_servers": "localhost:9092", **options})


def server(**options: Any) -> object:
    return KafkaRPCServer(**{"bootstrap_servers": "localhost:9092", "group_id": "g", **options})


each = pytest.mark.parametrize("make", [listener, client, server])


@each
@pytest.mark.parametrize(
    ("option", "value", "near"),
    [
        ("auto_offset_reset", "earlist", "'earliest'"),
        ("auto_offset_reset", "Latest", "'latest'"),
        ("isolation_level", "read_comitted", "'read_committed'"),
        ("security_protocol", "sasl_ssl", "'SASL_SSL'"),
        ("sasl_mechanism", "SCRAM-SHA256", "'SCRAM-SHA-256'"),
    ],
)
def test_a_value_that_is_not_one_of_the_few(make: Make, option: str, value: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{option} is .*Did you mean {near}") as caught:
        make(**{option: value})
    assert value not in str(caught.value).replace(near, "")


@pytest.mark.parametrize("make", [client, server])
@pytest.mark.parametrize(("option", "value"), [("acks", "al"), ("compression_type", "gzp")])
def test_a_value_of_the_producer(make: Make, option: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{option} is .*Did you mean"):
        make(**{option: value})


@each
@pytest.mark.parametrize("option", ["bootstrap_server", "bootstrap"])
def test_the_addresses_under_a_name_that_is_misspelt(make: Make, option: str) -> None:
    said = rf"{option} \(did you mean bootstrap_servers\?\)"
    with pytest.raises(ConfigurationError, match=said):
        make(bootstrap_servers=None, **{option: "localhost:9092"})


@each
@pytest.mark.parametrize(
    ("option", "near"),
    [("sasl_plain_pasword", "sasl_plain_password"), ("security_protocl", "security_protocol")],
)
def test_an_option_that_is_misspelt(make: Make, option: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{option} \(did you mean {near}\?\)") as caught:
        make(**{option: "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert "bootstrap_servers" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "option", "near"),
    [
        (listener, "max_inflight", "max_in_flight"),
        (client, "reply_topics", "reply_topic"),
        (server, "concurency", "concurrency"),
    ],
)
def test_an_option_of_our_own_that_is_misspelt(make: Make, option: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{option} \(did you mean {near}\?\)"):
        make(**{option: 20})


@each
def test_an_option_that_is_like_no_other(make: Make) -> None:
    with pytest.raises(ConfigurationError, match=r"has no option zzz$"):
        make(zzz="hunter2")


@each
@pytest.mark.parametrize(
    "servers",
    [
        "localhost:abc",
        "localhost:",
        "localhost:0",
        "localhost:70000",
        "localhost:9092,other:abc",
        "kafka://user:hunter2@localhost:9092",
        "local host:9092",
        "[nonsense]:9092",
        "1:2:3:zz",
        ":9092",
        "",
        " , ",
        ["localhost:abc"],
        [],
        9092,
    ],
)
def test_addresses_that_are_none(make: Make, servers: Any) -> None:
    with pytest.raises(ConfigurationError, match="bootstrap_servers") as caught:
        make(bootstrap_servers=servers)
    assert "hunter2" not in str(caught.value)


@each
@pytest.mark.parametrize(
    "servers",
    [
        "localhost",
        "localhost:9092",
        "a.b-c_d:1, 10.0.0.1:65535 ,",
        "[::1]:9092",
        "[fe80::1]",
        "::1",
        ["a:1", "b:2"],
        ("a:1", "b:2"),
    ],
)
def test_addresses_that_are_right(make: Make, servers: Any) -> None:
    make(bootstrap_servers=servers)


@pytest.mark.parametrize("topic", ["a b", "a/b", "", ".", "..", "a" * 250, "ä", "a\n"])
def test_a_topic_that_cannot_be(topic: str) -> None:
    with pytest.raises(ConfigurationError, match=r"parsers\[0\]"):
        listener(topic)
    with pytest.raises(ConfigurationError, match=r"parsers\[0\]"):
        client(parsers=[{"topics": [topic], "type": dict, "parser": parse_json}])


@each
def test_what_is_right_is_taken(make: Make) -> None:
    make(auto_offset_reset="none", isolation_level="read_committed", security_protocol="PLAINTEXT")
