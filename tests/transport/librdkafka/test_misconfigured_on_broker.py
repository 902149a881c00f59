"""Mistakes in the settings of a broker, or between it and librdkafka: each has an error of its own.

What a broker refuses is an error within a second, in which no secret is shown.
"""

import logging
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    AdvertisedAddressUnreachable,
    AuthenticationFailed,
    AuthorizationFailed,
    BrokerUnreachable,
    ConfigurationError,
    CoordinatorUnavailable,
    GroupFull,
    JoinTimeout,
    KafkaListener,
    KafkaProducer,
)
from sdml_kafka.testing import EmbeddedKafka
from tests.support.entering import error_of_entering, error_that_says
from tests.support.guarded_kafka import (
    CLERK,
    GUEST,
    PASSWORD,
    SUPER_USER,
    Resource,
    Right,
    grant,
    login,
    login_of,
)
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.listener_on_broker import texts
from tests.support.misconfigured_kafka import misconfigured_kafka
from tests.support.older_kafka import without_new_groups
from tests.support.other_servers import untrusted_server
from tests.support.waiting import BUSY_S

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]

SOON_S = 1.0 + BUSY_S
"""One second is the promise; a start would time out after ten."""
WRONG = "not-so-secret-but-wrong"
CLASSIC, KIP_848 = {"group.protocol": "classic"}, {"group.protocol": "consumer"}


def listener(servers: str, *topics: str, **options: Any) -> KafkaListener:
    given = {"group_id": unique("group"), **options}
    return KafkaListener(
        texts(*(topics or ("topic",))), bootstrap_servers=servers, client="librdkafka", **given
    )


def producer(servers: str, **options: Any) -> KafkaProducer:
    return KafkaProducer(bootstrap_servers=servers, client="librdkafka", **options)


def transactions(servers: str, **options: Any) -> KafkaProducer:
    return producer(servers, transactional_id=unique("id"), **options)


each_kind = pytest.mark.parametrize("make", [listener, producer, transactions])


@contextmanager
def soon() -> Generator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_S


@pytest.fixture(scope="module")
def mistaken_kafka() -> Iterator[tuple[EmbeddedKafka, dict[str, str]]]:
    """A Kafka that can serve no group, and where wrong addresses of it are given."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_at = f"127.0.0.1:{silent.getsockname()[1]}"
        wrong = ["no-such-host.invalid:9092", "127.0.0.1:1", silent_at]
        advertised = dict(zip(_free_ports(len(wrong)), wrong, strict=True))
        properties = {"offsets.topic.replication.factor": "3"}
        with misconfigured_kafka(advertised, properties, has_groups=False) as kafka:
            yield kafka, {where: f"127.0.0.1:{port}" for port, where in advertised.items()}


@pytest.fixture(scope="module")
def classic_kafka_and_older() -> Iterator[tuple[EmbeddedKafka, str]]:
    """A Kafka without KIP-848, whose groups have one member at most; and an address of it.

    There it does not list the requests of KIP-848, as Kafka before 4.0.
    """
    properties = {"group.coordinator.rebalance.protocols": "classic", "group.max.size": "1"}
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        (port,), older = _free_ports(1), f"127.0.0.1:{proxy.getsockname()[1]}"
        kafka = misconfigured_kafka({port: older}, properties)
        with kafka as running, without_new_groups(proxy, port):
            yield running, older


@pytest.fixture
def classic_kafka(classic_kafka_and_older: tuple[EmbeddedKafka, str]) -> EmbeddedKafka:
    return classic_kafka_and_older[0]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


# -- addresses and groups ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "why", "timeout_s"),
    [
        (0, "its name does not resolve", 1.5),
        (1, "it refuses connections", 1.5),
        pytest.param(2, "it does not answer", 10.0, marks=pytest.mark.soak),
    ],
)
async def test_an_advertised_address_that_cannot_be_reached(
    mistaken_kafka: tuple[EmbeddedKafka, dict[str, str]], number: int, why: str, timeout_s: float
) -> None:
    advertised, bootstrap = list(mistaken_kafka[1].items())[number]
    reason = f"broker 0 at {advertised}: {why}"
    error = await error_that_says(reason, partial(listener, bootstrap), timeout_s)
    assert type(error) is AdvertisedAddressUnreachable
    assert "advertised.listeners" in str(error)


@pytest.mark.parametrize("options", [CLASSIC, KIP_848])
async def test_a_group_that_gets_no_coordinator(
    mistaken_kafka: tuple[EmbeddedKafka, dict[str, str]], options: dict[str, str]
) -> None:
    servers = mistaken_kafka[0].bootstrap_servers
    alone = partial(listener, servers, group_id="alone", client_options=options)
    error = await error_that_says("'alone' has no coordinator", alone, 3.0)
    assert type(error) is CoordinatorUnavailable
    assert "offsets.topic.replication.factor" in str(error)


async def test_a_broker_without_the_protocol_that_was_asked_for(
    classic_kafka: EmbeddedKafka,
) -> None:
    error = await error_of_entering(
        listener(classic_kafka.bootstrap_servers, client_options=KIP_848)
    )
    assert type(error) is ConfigurationError
    assert "leave 'group.protocol' out" in str(error)


async def test_a_broker_that_does_not_know_of_the_protocol_of_our_default(
    classic_kafka_and_older: tuple[EmbeddedKafka, str],
) -> None:
    kafka, older = classic_kafka_and_older
    topic = await create_topic(kafka.bootstrap_servers, unique("topic"), 2)
    async with listener(older, topic) as entered:
        assert entered.assigned_table() == {topic: [0, 1]}
        assert entered.status().group_protocol == "classic"


@pytest.mark.parametrize("options", [KIP_848, {"group.instance.id": "one"}])
async def test_a_broker_that_does_not_know_of_a_protocol_that_is_final(
    classic_kafka_and_older: tuple[EmbeddedKafka, str], options: dict[str, Any]
) -> None:
    kafka, older = classic_kafka_and_older
    topic = await create_topic(kafka.bootstrap_servers, unique("topic"), 2)
    make = partial(listener, older, topic, client_options=options)
    error = await error_that_says("give 'group.protocol': 'classic'", make, 4.0)
    assert type(error) is JoinTimeout


async def test_a_broker_without_the_protocol_of_our_default_has_the_other_one(
    classic_kafka: EmbeddedKafka,
) -> None:
    servers, group = classic_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(servers, unique("topic"), 2)
    async with listener(servers, topic, group_id=group) as entered:
        assert entered.assigned_table() == {topic: [0, 1]}
        another = partial(listener, servers, topic, group_id=group, client_options=CLASSIC)
        error = await error_that_says(f"{group!r} is full", another, 1.5)
    assert type(error) is GroupFull
    assert isinstance(error, JoinTimeout)
    assert "group.max.size" in str(error)


@pytest.mark.soak
async def test_a_full_group_of_the_new_protocol() -> None:
    with EmbeddedKafka(properties={"group.consumer.max.size": "1"}) as kafka:
        servers = kafka.bootstrap_servers
        topic = await create_topic(servers, unique("topic"), 2)
        async with listener(servers, topic, group_id="small"):
            error = await error_of_entering(listener(servers, topic, group_id="small"))
    assert type(error) is GroupFull
    assert "group.consumer.max.size" in str(error)


# -- security ------------------------------------------------------------------------------------


@each_kind
async def test_a_client_of_tls_at_a_port_without_it(
    embedded_kafka: EmbeddedKafka, make: Any
) -> None:
    options = {"security.protocol": "ssl"}
    made = partial(make, embedded_kafka.bootstrap_servers, client_options=options)
    # The end of the connection is seen within the handshake, or by itself.
    assert type(await error_that_says("not speak TLS", made, 1.0)) is BrokerUnreachable


@each_kind
async def test_a_login_where_none_is_taken(embedded_kafka: EmbeddedKafka, make: Any) -> None:
    reason = "it takes no login, and security.protocol is 'sasl_plaintext'"
    made = partial(make, embedded_kafka.bootstrap_servers, **login_of("librdkafka"))
    assert type(await error_that_says(reason, made, 1.0)) is BrokerUnreachable


@each_kind
async def test_no_login_where_one_is_asked_for(guarded_kafka: EmbeddedKafka, make: Any) -> None:
    made = partial(make, guarded_kafka.bootstrap_servers)
    error = await error_that_says("it may ask for TLS or a login (SASL)", made, 1.0)
    assert type(error) is BrokerUnreachable


@each_kind
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"sasl.password": WRONG}, "refused the credentials"),
        ({"sasl.mechanism": "SCRAM-SHA-256"}, "no such sasl.mechanism"),
    ],
)
async def test_a_login_that_is_refused(
    guarded_kafka: EmbeddedKafka,
    make: Any,
    wrong: dict[str, str],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = {**login_of("librdkafka", SUPER_USER)["client_options"], "debug": "security", **wrong}
    made = make(guarded_kafka.bootstrap_servers, client_options=options)
    with caplog.at_level(logging.DEBUG), soon():
        error = await error_of_entering(made)
    assert type(error) is AuthenticationFailed
    assert why in str(error)
    shown = f"{error!r}{error.__cause__!r}{caplog.text}{made!r}{made.status()}"
    assert WRONG not in shown
    assert PASSWORD not in shown


@each_kind
async def test_a_certificate_that_nobody_trusts(make: Any, tmp_path: Path) -> None:
    with untrusted_server(tmp_path) as address, soon():
        error = await error_of_entering(make(address, client_options={"security.protocol": "ssl"}))
    assert type(error) is AuthenticationFailed
    assert "certificate was not accepted" in str(error)


async def test_an_id_of_transactions_that_may_not_be_used(guarded_kafka: EmbeddedKafka) -> None:
    made = transactions(guarded_kafka.bootstrap_servers, **login_of("librdkafka", CLERK))
    with soon():
        error = await error_of_entering(made)
    assert type(error) is AuthorizationFailed
    assert "transactional" in str(error)


async def test_a_topic_that_may_not_be_read_is_not_called_missing(
    guarded_kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    made = listener(guarded_kafka.bootstrap_servers, **login_of("librdkafka", GUEST))
    with soon():
        error = await error_of_entering(made)
    assert type(error) is AuthorizationFailed
    assert "does not exist" not in caplog.text


@pytest.mark.parametrize("protocol", [CLASSIC, KIP_848, {}])
async def test_a_group_that_may_not_be_joined(
    guarded_kafka: EmbeddedKafka, protocol: dict[str, str]
) -> None:
    servers = guarded_kafka.bootstrap_servers
    topic = await create_topic(servers, unique("topic"), 1, login=login())
    await grant(guarded_kafka, Resource.TOPIC, topic, Right.READ, Right.DESCRIBE)
    options = {**login_of("librdkafka", CLERK)["client_options"], **protocol}
    with soon():
        error = await error_of_entering(listener(servers, topic, client_options=options))
    assert type(error) is AuthorizationFailed
    assert "Grant READ and DESCRIBE on the topics and READ on the group" in str(error)


async def test_a_topic_that_may_be_seen_and_not_read(guarded_kafka: EmbeddedKafka) -> None:
    servers, group = guarded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(servers, unique("topic"), 1, login=login())
    await grant(guarded_kafka, Resource.TOPIC, topic, Right.DESCRIBE)
    await grant(guarded_kafka, Resource.GROUP, group, Right.READ)
    made = listener(servers, topic, group_id=group, **login_of("librdkafka", CLERK))

    async def enter() -> None:
        async with made:
            await anyio.sleep(10.0)

    with pytest.raises(Exception) as caught, soon():  # noqa: PT011  # one error, in a group or not
        await enter()
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert type(error) is AuthorizationFailed
