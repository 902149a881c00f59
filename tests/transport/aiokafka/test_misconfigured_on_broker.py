"""Mistakes in the settings of a broker, or between it and a client: each has an error of its own.

Each error says what is wrong and what to do, with the reason as its cause.
"""

import socket
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from sdml_kafka import (
    AdvertisedAddressUnreachable,
    AuthenticationFailed,
    AuthorizationFailed,
    BrokerUnreachable,
    CoordinatorUnavailable,
    GroupFull,
    JoinTimeout,
)
from sdml_kafka.testing import EmbeddedKafka
from tests.support.entering import (
    client,
    each,
    error_of_entering,
    error_that_says,
    listener,
    server,
)
from tests.support.guarded_kafka import GUEST, SUPER_USER, login
from tests.support.misconfigured_kafka import misconfigured_kafka

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]


@pytest.fixture(scope="module")
def mistaken_kafka() -> Iterator[tuple[EmbeddedKafka, dict[str, str]]]:
    """A Kafka whose groups have one member at most, and where its wrong addresses are given."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_at = f"127.0.0.1:{silent.getsockname()[1]}"
        wrong = ["no-such-host.invalid:9092", "127.0.0.1:1", silent_at]
        advertised = dict(zip(_free_ports(len(wrong)), wrong, strict=True))
        with misconfigured_kafka(advertised, {"group.max.size": "1"}) as kafka:
            yield kafka, {where: f"127.0.0.1:{port}" for port, where in advertised.items()}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each_socket in sockets:
        each_socket.close()
    return ports


@pytest.fixture(scope="module")
def kafka_without_groups() -> Iterator[EmbeddedKafka]:
    """A Kafka with one node that is told to keep three replicas of the groups' offsets."""
    properties = {"offsets.topic.replication.factor": "3"}
    with misconfigured_kafka({}, properties, has_groups=False) as kafka:
        yield kafka


@pytest.mark.parametrize(
    ("make", "number", "why"),
    [
        (listener, 0, "its name does not resolve"),
        (listener, 1, "it refuses connections"),
        (listener, 2, "it does not answer"),
        (server, 1, "it refuses connections"),
        (client, 2, "it does not answer"),
    ],
)
async def test_an_advertised_address_that_cannot_be_reached(
    mistaken_kafka: tuple[EmbeddedKafka, dict[str, str]],
    make: Any,
    number: int,
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    advertised, bootstrap = list(mistaken_kafka[1].items())[number]
    reason = f"broker 0 at {advertised}: {why}"
    error = await error_that_says(reason, partial(make, bootstrap), 1.5)
    assert type(error) is AdvertisedAddressUnreachable
    assert isinstance(error, BrokerUnreachable)
    assert "advertised.listeners" in str(error)
    assert isinstance(error.__cause__, OSError)
    assert "does not exist" not in caplog.text


@pytest.mark.parametrize("make", [listener, server])
async def test_a_full_group(
    mistaken_kafka: tuple[EmbeddedKafka, dict[str, str]], make: Any
) -> None:
    servers = mistaken_kafka[0].bootstrap_servers
    async with listener(servers, group_id="small"):
        another = partial(make, servers, group_id="small")
        error = await error_that_says("'small' is full", another, 1.5)
    assert type(error) is GroupFull
    assert isinstance(error, JoinTimeout)
    assert "group.max.size" in str(error)
    assert "81" in str(error.__cause__)


@pytest.mark.parametrize("make", [listener, server])
async def test_a_group_that_gets_no_coordinator(
    kafka_without_groups: EmbeddedKafka, make: Any
) -> None:
    member = partial(make, kafka_without_groups.bootstrap_servers, group_id="alone")
    error = await error_that_says("'alone' has no coordinator", member, 1.5)
    assert type(error) is CoordinatorUnavailable
    assert isinstance(error, JoinTimeout)
    assert "offsets.topic.replication.factor" in str(error)
    assert isinstance(error.__cause__, GroupCoordinatorNotAvailableError)


async def test_a_client_without_a_group_needs_no_coordinator(
    kafka_without_groups: EmbeddedKafka,
) -> None:
    async with client(kafka_without_groups.bootstrap_servers):
        pass


@each
async def test_a_client_of_tls_at_a_port_without_it(
    embedded_kafka: EmbeddedKafka, make: Any
) -> None:
    options = {"security_protocol": "SSL", "ssl_context": ssl.create_default_context()}
    reason = "does not speak TLS as security_protocol 'SSL' needs it"
    made = partial(make, embedded_kafka.bootstrap_servers, **options)
    assert type(await error_that_says(reason, made, 1.0)) is BrokerUnreachable


@each
async def test_a_login_where_none_is_taken(embedded_kafka: EmbeddedKafka, make: Any) -> None:
    reason = "it takes no login, and security_protocol is 'SASL_PLAINTEXT'"
    made = partial(make, embedded_kafka.bootstrap_servers, **login())
    assert type(await error_that_says(reason, made, 1.0)) is BrokerUnreachable


@each
async def test_no_login_where_one_is_asked_for(guarded_kafka: EmbeddedKafka, make: Any) -> None:
    made = partial(make, guarded_kafka.bootstrap_servers)
    error = await error_that_says("it may ask for TLS or a login (SASL)", made, 1.0)
    assert type(error) is BrokerUnreachable


@each
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"sasl_plain_password": "wrong-one"}, "SaslAuthenticationFailed"),
        ({"sasl_mechanism": "SCRAM-SHA-256"}, "no such sasl_mechanism"),
    ],
)
async def test_a_login_that_is_refused(
    guarded_kafka: EmbeddedKafka, make: Any, wrong: dict[str, str], why: str
) -> None:
    options = {**login(SUPER_USER), **wrong}
    error = await error_of_entering(make(guarded_kafka.bootstrap_servers, **options))
    assert type(error) is AuthenticationFailed
    assert why in str(error)
    assert "wrong-one" not in f"{error!r}{error.__cause__!r}"


@each
async def test_a_topic_that_may_not_be_read_is_not_called_missing(
    guarded_kafka: EmbeddedKafka, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    options = {**login(GUEST), "start_timeout": 10.0}
    if make is not listener:
        options["enable_idempotence"] = False  # it needs another right, which is missing, too
    error = await error_of_entering(make(guarded_kafka.bootstrap_servers, **options))
    assert type(error) is AuthorizationFailed
    assert "does not exist" not in caplog.text
