"""A broker that asks for credentials, and does not let everybody write."""

from typing import Any

import anyio
import pytest

from sdml_kafka import KafkaProducer
from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    BrokerUnreachable,
)
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.librdkafka.options import producer_settings
from sdml_kafka.transport.librdkafka.producer.adapter import connect_producer
from tests.support.contracts.producer_rights import check_each_call_says_what_it_lacks
from tests.support.contracts.producer_world import CALL_S, started
from tests.support.guarded_kafka import GUEST, SUPER_USER, login_of
from tests.support.waiting import BUSY_S

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]


def options_of(user: str, **more: Any) -> dict[str, Any]:
    own: dict[str, Any] = login_of("librdkafka", user)["client_options"]
    return {**own, **{name.replace("_", "."): value for name, value in more.items()}}


def connect_as(kafka: EmbeddedKafka, user: str, **more: Any) -> ConnectProducer:
    return connect_producer(producer_settings(kafka.bootstrap_servers, options_of(user, **more)))


async def test_refused_credentials_are_a_clear_error_without_the_password(
    guarded_kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    connect = connect_as(guarded_kafka, GUEST, sasl_password="wrong-one", debug="security,conf")
    caplog.set_level("DEBUG")
    began = anyio.current_time()
    with pytest.raises(AuthenticationFailed, match="refused the credentials") as caught:
        async with started(connect):
            pytest.fail("started")
    assert anyio.current_time() - began < 1.0 + BUSY_S
    assert "wrong-one" not in f"{caught.value!r}{caught.value.__cause__!r}{caplog.text}"


@pytest.mark.parametrize(
    ("more", "kind", "why"),
    [
        ({"sasl_mechanism": "SCRAM-SHA-256"}, AuthenticationFailed, "no such sasl.mechanism"),
        ({"security_protocol": "plaintext"}, BrokerUnreachable, "may ask for TLS or a login"),
    ],
)
async def test_a_login_that_does_not_suit_the_broker(
    guarded_kafka: EmbeddedKafka, more: dict[str, Any], kind: type[Exception], why: str
) -> None:
    options = options_of(SUPER_USER, **more)
    if "security_protocol" in more:
        options = {"security.protocol": "plaintext"}
    producer = KafkaProducer(
        bootstrap_servers=guarded_kafka.bootstrap_servers,
        client="librdkafka",
        client_options=options,
        start_timeout=2.0,
    )
    with pytest.raises(kind, match=why):
        async with producer:
            pytest.fail("entered")


async def test_a_login_where_none_is_taken(embedded_kafka: EmbeddedKafka) -> None:
    connect = connect_as(embedded_kafka, SUPER_USER)
    with pytest.raises(BrokerUnreachable, match="it takes no login"):
        async with connect() as producer:
            await producer.start(2.0)


async def test_without_rights_each_call_says_so(guarded_kafka: EmbeddedKafka) -> None:
    admin = connect_as(guarded_kafka, SUPER_USER)
    guest = connect_as(guarded_kafka, GUEST, enable_idempotence=False)
    await check_each_call_says_what_it_lacks(admin, guest)


async def test_without_any_right_to_write_an_idempotent_producer_ends(
    guarded_kafka: EmbeddedKafka,
) -> None:
    """Librdkafka asks for its number only when it is connected, so the start itself succeeds."""
    async with started(connect_as(guarded_kafka, GUEST)) as producer:
        with anyio.fail_after(CALL_S), pytest.raises(AuthorizationFailed, match="IDEMPOTENT_WRITE"):
            await producer.watch()
