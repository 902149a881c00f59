"""A broker that asks for a user and a password, and that creates no topics by itself."""

import logging
import traceback
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka import AuthenticationFailed, KafkaListener
from sdml_kafka.testing import EmbeddedKafka
from tests.support.guarded_kafka import PASSWORD, login
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import Reader, texts
from tests.support.listener_on_broker import listener_on as any_listener_on
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]


def listener_on(kafka: EmbeddedKafka, *topics: str, **options: Any) -> KafkaListener:
    return any_listener_on(kafka, *topics, **{**login(), **options})


@pytest.mark.usefixtures("client")
async def test_with_the_right_credentials_it_reads(guarded_kafka: EmbeddedKafka) -> None:
    topic = await create_topic(guarded_kafka.bootstrap_servers, unique("topic"), login=login())
    await produce(guarded_kafka.bootstrap_servers, topic, ["a", "b"], login=login())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks, listener_on(guarded_kafka, topic) as it:
            reader = Reader(it)
            tasks.start_soon(reader.read)
            await reader.has_seen_all({"a", "b"})


@pytest.mark.parametrize("by_factory", [False, True])
async def test_refused_credentials_are_a_clear_error_at_once_without_the_password(
    guarded_kafka: EmbeddedKafka, by_factory: bool, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = f"not-{PASSWORD}"

    def factory() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=guarded_kafka.bootstrap_servers,
            group_id="group",
            **login(password=wrong),
        )

    for _ in range(5):  # the error gives the reason at every attempt
        if by_factory:
            listener = KafkaListener(texts("topic"), consumer_factory=factory)
        else:
            listener = listener_on(guarded_kafka, "topic", sasl_plain_password=wrong)
        began = anyio.current_time()
        with (
            caplog.at_level(logging.DEBUG),
            pytest.raises(AuthenticationFailed, match="Authentication failed") as caught,
        ):
            async with listener:
                pytest.fail("entered")
        assert anyio.current_time() - began < 1.0 + BUSY_S  # a time-out would come after 10 s
        shown = "".join(traceback.format_exception(caught.value))
        assert PASSWORD not in shown
        assert PASSWORD not in repr(listener) + str(listener.status())
    assert PASSWORD not in caplog.text


async def test_a_mechanism_that_the_broker_does_not_take_is_a_clear_error(
    guarded_kafka: EmbeddedKafka,
) -> None:
    with pytest.raises(AuthenticationFailed, match=r"(?i)mechanism"):
        async with listener_on(guarded_kafka, "topic", sasl_mechanism="SCRAM-SHA-256"):
            pytest.fail("entered")


async def test_a_topic_that_does_not_exist_is_named_and_read_once_it_does(
    guarded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = guarded_kafka.bootstrap_servers
    there, later = await create_topic(bootstrap, unique("there"), login=login()), unique("later")
    with anyio.fail_after(40):
        async with (
            anyio.create_task_group() as tasks,
            listener_on(guarded_kafka, there, later, auto_offset_reset="latest") as listener,
        ):
            reader = Reader(listener)
            tasks.start_soon(reader.read)
            await produce(bootstrap, there, ["a"], login=login())
            await reader.has_seen_all({"a"})
            assert listener.status().missing_topics == {later}
            await create_topic(bootstrap, later, login=login())
            created_at = anyio.current_time()
            await produce(bootstrap, later, ["b", "c"], login=login())
            await reader.has_seen_all({"b", "c"})
            assert anyio.current_time() - created_at < 20.0  # before any later refresh
            await until(lambda: not listener.status().missing_topics)
