"""A broker that asks for credentials, and does not let everybody write."""

from typing import Any

import pytest

from sdml_kafka.errors import AuthenticationFailed, AuthorizationFailed
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.factory import default_producer_factory
from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from tests.support.contracts.producer_rights import check_each_call_says_what_it_lacks
from tests.support.contracts.producer_world import started
from tests.support.guarded_kafka import GUEST, SUPER_USER, login

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]


def connect_as(kafka: EmbeddedKafka, user: str, **options: Any) -> ConnectProducer:
    factory = default_producer_factory(kafka.bootstrap_servers, {**login(user), **options})
    return connect_producer(factory)


async def test_refused_credentials_are_a_clear_error_without_the_password(
    guarded_kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AuthenticationFailed, match="SaslAuthenticationFailed") as caught:
        async with started(connect_as(guarded_kafka, GUEST, sasl_plain_password="wrong-one")):
            pytest.fail("started")
    assert "wrong-one" not in f"{caught.value!r}{caplog.text}"


async def test_without_rights_each_call_says_so(guarded_kafka: EmbeddedKafka) -> None:
    admin = connect_as(guarded_kafka, SUPER_USER)
    guest = connect_as(guarded_kafka, GUEST, enable_idempotence=False)
    await check_each_call_says_what_it_lacks(admin, guest)


async def test_without_any_right_to_write_an_idempotent_producer_does_not_start(
    guarded_kafka: EmbeddedKafka,
) -> None:
    with pytest.raises(AuthorizationFailed, match="IDEMPOTENT_WRITE"):
        async with started(connect_as(guarded_kafka, GUEST)):
            pytest.fail("started")
