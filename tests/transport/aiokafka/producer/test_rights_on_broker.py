"""A broker that asks for credentials, and does not let everybody write."""

from typing import Any

import pytest

from sdml_kafka.errors import AuthenticationFailed, AuthorizationFailed, TopicMissing
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.factory import default_producer_factory
from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer
from sdml_kafka.transport.interfaces.producer import ConnectProducer, Message
from tests.support.contracts.producer_world import CALL_S, Outcomes, started
from tests.support.guarded_kafka import GUEST, SUPER_USER, login

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


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
    outcomes = Outcomes()
    async with started(connect_as(guarded_kafka, SUPER_USER)) as admin:
        await admin.create_topic("secret", 1, {}, CALL_S)
        assert await admin.live_members("group", CALL_S) == 0
        admin.send(Message("secret", b"value"), outcomes.of("admin"))
        assert await outcomes.one("admin") is None

    connect = connect_as(guarded_kafka, GUEST, enable_idempotence=False)
    async with started(connect) as guest:
        guest.send(Message("secret", b"value"), outcomes.of("guest"))
        assert type(await outcomes.one("guest")) is AuthorizationFailed
        guest.send(Message("missing", b"value"), outcomes.of("missing"))
        assert type(await outcomes.one("missing")) in (AuthorizationFailed, TopicMissing)
        with pytest.raises(AuthorizationFailed, match="create the topic 'mine'"):
            await guest.create_topic("mine", 1, {}, CALL_S)
        with pytest.raises(AuthorizationFailed, match="delete the topic 'secret'"):
            await guest.delete_topic("secret", CALL_S)
        with pytest.raises(AuthorizationFailed, match="look up the topics 'secret'"):
            await guest.partition_counts(["secret"], CALL_S)
        with pytest.raises(AuthorizationFailed, match="look at the group"):
            await guest.live_members("group", CALL_S)


async def test_without_any_right_to_write_an_idempotent_producer_does_not_start(
    guarded_kafka: EmbeddedKafka,
) -> None:
    with pytest.raises(AuthorizationFailed, match="IDEMPOTENT_WRITE"):
        async with started(connect_as(guarded_kafka, GUEST)):
            pytest.fail("started")
