"""A listener over librdkafka: it reads, commits, and says what keeps it from its broker."""

from typing import Any

import anyio
import pytest

from sdml_kafka import (
    AuthenticationFailed,
    AuthorizationFailed,
    BrokerUnreachable,
    KafkaListener,
)
from sdml_kafka.testing import EmbeddedKafka
from tests.support.guarded_kafka import GUEST, PASSWORD, SUPER_USER, login_of
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import listener_on as any_listener_on
from tests.support.listener_on_broker import read, texts

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(120)]


def listener_on(kafka: EmbeddedKafka, *topics: str, **options: Any) -> KafkaListener:
    return any_listener_on(kafka, *topics, client="librdkafka", **options)


@pytest.mark.uvloop_too
async def test_it_reads_and_goes_on_behind_its_commits(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("topic"), 2)
    await produce(bootstrap, topic, [f"{number}" for number in range(100)])
    async with listener_on(embedded_kafka, topic, group_id=group) as listener:
        assert listener.status().client == "librdkafka"
        first = await read(listener, 100)
        status = listener.status()
        assert (status.group_protocol, status.session_timeout_s) == ("consumer", None)
    await produce(bootstrap, topic, ["more", "and more"])
    async with listener_on(embedded_kafka, topic, group_id=group) as listener:
        second = await read(listener, 2)
    assert sorted(first) == sorted(f"{number}" for number in range(100))
    assert sorted(second) == ["and more", "more"]


@pytest.mark.parametrize(
    ("user", "password", "error"),
    [
        (SUPER_USER, f"not-{PASSWORD}", AuthenticationFailed),
        (GUEST, PASSWORD, AuthorizationFailed),
    ],
)
async def test_a_broker_that_refuses_the_member(
    guarded_kafka: EmbeddedKafka,
    user: str,
    password: str,
    error: type[Exception],
    caplog: pytest.LogCaptureFixture,
) -> None:
    login = login_of("librdkafka", user, password)
    with anyio.fail_after(30), pytest.raises(error) as caught:
        async with listener_on(guarded_kafka, "topic", **login):
            pytest.fail("entered")
    assert PASSWORD not in f"{caught.value!r}{caught.value.__cause__!r}{caplog.text}"


async def test_a_broker_that_is_not_there(free_tcp_port: int) -> None:
    servers = f"127.0.0.1:{free_tcp_port}"
    listener = KafkaListener(
        texts("topic"),
        bootstrap_servers=servers,
        group_id="group",
        client="librdkafka",
        start_timeout=1.5,
    )
    with anyio.fail_after(15), pytest.raises(BrokerUnreachable, match=servers):
        async with listener:
            pytest.fail("entered")
