"""Options for librdkafka that cannot work: each error names the option, and shows no secret."""

from typing import Any

import pytest

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.client_choice import ClientArguments, ClientChoice
from sdml_kafka.transport.connect import listener_transport
from sdml_kafka.transport.librdkafka.group_protocol import group_protocol
from sdml_kafka.transport.librdkafka.option_names import ALIASES, DURATIONS
from sdml_kafka.transport.librdkafka.options import (
    consumer_settings,
    producer_settings,
    secrets_of,
)

SERVERS = "localhost:9092"
PASSWORD = "hunter2"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"lingr.ms": 5}, "has no option 'lingr.ms'. Did you mean 'linger.ms'?"),
        ({"zzz": PASSWORD}, "librdkafka has no option 'zzz'"),
        ({"linger.ms": "soon"}, "'linger.ms' cannot have this value"),
        ({"acks": "al"}, "acks"),
        ({"compression.type": PASSWORD}, "compression"),
        ({"retry.backoff.ms": -5}, "outside allowed range"),
        ({"linger.ms": None}, "'linger.ms' is a text, a number or a bool, not NoneType"),
        ({"linger.ms": [5]}, "'linger.ms' is a text, a number or a bool, not list"),
        ({5: 5}, "an option has a name, not 5"),
        ({"linger.ms": 1, "queue.buffering.max.ms": 2}, "are one option: give one of them"),
        ({"enable.idempotence": True, "acks": 1}, "acks"),
        ({"bootstrap.servers": SERVERS}, "give bootstrap_servers"),
        ({"enable.auto.commit": True}, "'enable.auto.commit' cannot be given: the package commits"),
        ({"transactional.id": "id"}, "'transactional.id' cannot be given"),
        ({"error_cb": print}, "'error_cb' cannot be given: the package sets it itself"),
        ({"oauth_cb": 5}, "'oauth_cb' is a function"),
        ({"session.timeout.ms": 6000}, "'session.timeout.ms' is an option of a consumer"),
        ({"sasl.mechanism": "PLAIN"}, "security.protocol"),
        ({"ssl.ca.location": "/nowhere", "security.protocol": "ssl"}, "ssl.ca.location"),
    ],
)
def test_an_option_of_a_producer_that_cannot_be(options: dict[Any, Any], why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        producer_settings(SERVERS, options)
    assert why in str(caught.value)
    assert PASSWORD not in f"{caught.value!r}{caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"group.id": "g"}, "give group_id"),
        ({"auto.commit.interval.ms": 5}, "the package commits"),
        ({"group.protocol": "consumer", "session.timeout.ms": 6000}, "'session.timeout.ms': not"),
        (
            {"group.protocol": "consumer", "partition.assignment.strategy": "range"},
            "'partition.assignment.strategy': not with 'group.protocol': 'consumer'",
        ),
        ({"group.protocol": "new"}, "group.protocol"),
        ({"auto.offset.reset": "latest"}, "auto_offset_reset and 'auto.offset.reset' differ"),
        ({"session.timeout.ms": 400_000, "max.poll.interval.ms": 300_000}, "max.poll.interval.ms"),
    ],
)
def test_an_option_of_a_consumer_that_cannot_be(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        consumer_settings(SERVERS, "g", "earliest", options)
    assert why in str(caught.value)


@pytest.mark.parametrize("name", sorted(DURATIONS))
@pytest.mark.parametrize("ms", ["0x493e0", "45s", 4.5, True])
def test_a_duration_that_librdkafka_would_take_for_another_one(name: str, ms: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}' is a whole number of milliseconds"):
        consumer_settings(SERVERS, "g", None, {name: ms})
    with pytest.raises(ConfigurationError, match=f"'{name}' is a whole number of milliseconds"):
        producer_settings(SERVERS, {name: ms})


@pytest.mark.parametrize("options", ["linger.ms=5", 5, [("linger.ms", 5)]])
def test_options_that_are_no_mapping(options: Any) -> None:
    with pytest.raises(ConfigurationError, match="client_options is a mapping"):
        producer_settings(SERVERS, options)


@pytest.mark.parametrize("servers", ["localhost:abc", "", [], 9092])
def test_addresses_that_are_none(servers: Any) -> None:
    with pytest.raises(ConfigurationError, match="bootstrap_servers"):
        producer_settings(servers, {})


@pytest.mark.parametrize("reset", ["earlist", "smallest", 5])
def test_a_place_to_begin_that_is_none(reset: Any) -> None:
    with pytest.raises(ConfigurationError, match="auto_offset_reset is 'earliest'"):
        consumer_settings(SERVERS, "g", reset, {})


def test_what_is_right_is_taken_and_overrides_our_defaults() -> None:
    given = {
        "linger.ms": 2.5,
        "compression.type": "lz4",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "user",
        "sasl.password": PASSWORD,
        "socket.keepalive.enable": False,
    }
    settings = producer_settings(["a:1", "b:2"], given)
    assert settings["bootstrap.servers"] == "a:1,b:2"
    assert given.items() <= settings.items()
    assert settings["enable.idempotence"] is True
    assert secrets_of(settings) == [PASSWORD]


@pytest.mark.parametrize(
    ("options", "room"),
    [
        ({}, 64 << 10),
        ({"message.max.bytes": 100 << 20}, 400 << 10),
        ({"message.max.bytes": "0x4000000"}, 256 << 10),
        ({"message.max.bytes": 104_857_600.0}, 400 << 10),
        ({"queue.buffering.max.kbytes": 10}, 10),
    ],
)
def test_the_room_of_a_producer_suits_its_largest_record(
    options: dict[str, Any], room: int
) -> None:
    assert producer_settings(SERVERS, options)["queue.buffering.max.kbytes"] == room


def test_a_producer_that_waits_for_fewer_acknowledgements_is_not_idempotent() -> None:
    assert producer_settings(SERVERS, {"acks": 1})["enable.idempotence"] is False


def test_words_in_capital_letters_mean_what_they_mean_to_librdkafka() -> None:
    given = {"auto.offset.reset": "Earliest", "isolation.level": "READ_COMMITTED"}
    settings = consumer_settings(SERVERS, "g", None, given)
    assert settings["auto.offset.reset"] == "earliest"
    assert settings["isolation.level"] == "read_committed"
    choice = ClientChoice("librdkafka", given)
    arguments = ClientArguments(bootstrap_servers=SERVERS, group_id="g", choice=choice)
    transport = listener_transport(arguments, 1)
    assert transport.reads_committed
    assert producer_settings(SERVERS, {"acks": "ALL"})["enable.idempotence"] is True


def test_a_password_is_secret_whatever_it_is_made_of() -> None:
    login = {"sasl.password": 12345, "ssl.key.password": PASSWORD}
    assert secrets_of(login) == ["12345", PASSWORD]
    shown = f"{ClientChoice('librdkafka', login)!r} {group_protocol(login)!r}"
    assert PASSWORD not in shown
    assert "12345" not in shown


@pytest.mark.parametrize("name", ["max.in.flight", "max.in.flight.requests.per.connection"])
def test_whoever_wants_more_requests_on_their_way_may_have_them(name: str) -> None:
    names = "max.in.flight", ALIASES["max.in.flight"]
    settings = producer_settings(SERVERS, {name: 5})
    # librdkafka takes the last of two names of an option.
    assert [value for each, value in settings.items() if each in names][-1] == 5
    assert [value for each, value in producer_settings(SERVERS, {}).items() if each in names] == [1]


def test_a_login_that_asks_another_server_is_not_tried() -> None:
    options = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": "http://127.0.0.1:1/",
        "sasl.oauthbearer.client.id": "id",
        "sasl.oauthbearer.client.secret": PASSWORD,
    }
    assert options.items() <= producer_settings(SERVERS, options).items()


def test_a_consumer_of_shared_options_commits_nothing_itself() -> None:
    settings = consumer_settings(SERVERS, "g", "none", {"linger.ms": 5, "acks": "all"})
    assert settings["enable.auto.commit"] is False
    assert settings["enable.auto.offset.store"] is False
    assert settings["auto.offset.reset"] == "error"
    assert settings["group.id"] == "g"
