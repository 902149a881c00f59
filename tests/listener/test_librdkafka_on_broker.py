"""A listener over librdkafka: it reads, commits, and says what keeps it from its broker."""

from typing import Any

import anyio
import pytest

from sdml_kafka import (
    AuthenticationFailed,
    AuthorizationFailed,
    BrokerUnreachable,
    Delivery,
    KafkaListener,
    KafkaProducer,
    Send,
)
from sdml_kafka.testing import EmbeddedKafka
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
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import listener_on as any_listener_on
from tests.support.listener_on_broker import read, texts
from tests.support.waiting import until

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
        assert listener.status().group_protocol == "consumer"
        await until(lambda: listener.status().session_timeout_s == 6.0)
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


async def test_what_exactly_once_needs_to_be_granted(guarded_kafka: EmbeddedKafka) -> None:
    """The rights that docs/processing.md names suffice, with the name of the group as a prefix."""
    servers, group = guarded_kafka.bootstrap_servers, unique("group")
    orders, invoices = [
        await create_topic(servers, unique(name), 1, login=login()) for name in ("in", "out")
    ]
    boss, clerk = (login_of("librdkafka", user) for user in (SUPER_USER, CLERK))
    await grant(guarded_kafka, Resource.TOPIC, orders, Right.READ)
    await grant(guarded_kafka, Resource.TOPIC, invoices, Right.WRITE)
    await grant(guarded_kafka, Resource.GROUP, group, Right.READ)
    ids = Resource.TRANSACTIONAL_ID, f"{group}-"
    await grant(guarded_kafka, *ids, Right.WRITE, Right.DESCRIBE, is_prefix=True)
    listener = listener_on(guarded_kafka, orders, group_id=group, **clerk)

    @listener.processor(str, exactly_once=True, name="bill")
    async def bill(order: str, delivery: Delivery[str]) -> Send:
        return Send(invoices, order.encode())

    producer = KafkaProducer(bootstrap_servers=servers, client="librdkafka", **boss)
    async with producer, listener:
        await producer.send(orders, b"figs")
        await until(lambda: listener.status().processors["bill"].transactions > 0)
        assert listener.status().session_timeout_s is None  # that is another right


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
