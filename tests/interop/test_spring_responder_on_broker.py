"""Our client asks Spring's `@KafkaListener` with `@SendTo`."""

from typing import Any

import anyio
import pytest

from sdml_kafka import CallTimeout, ClientClosed, ConfigurationError, KafkaRPC, RemoteError
from sdml_kafka.testing import EmbeddedKafka
from tests.interop.harness.service import Event, Running, headers_of
from tests.support.kafka_from_outside import unique
from tests.support.rpc_on_broker import all_of, client_on

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("client"),
]

SOON_S = 3.0
"""The time-out of calls that get no reply."""


def asking(kafka: EmbeddedKafka, **options: Any) -> KafkaRPC:
    return client_on(kafka, dialect="spring", start_timeout=60.0, **options)


def began(spring: Running, value: str) -> list[Event]:
    """Return what Spring has begun to handle."""
    return spring.service.having(event="began", value=value)


@pytest.mark.librdkafka_too
async def test_replies(embedded_kafka: EmbeddedKafka, spring_responder: Running) -> None:
    topic = spring_responder.topic("plain")
    async with asking(embedded_kafka) as rpc:
        assert await rpc.request(topic, b"hello") == b"HELLO"
        assert await rpc.request(topic, b"hello", req_key=b"k") == b"HELLO"
        assert await rpc.request(topic, b"hello", correlation_id=b"\x00\xff") == b"HELLO"
        assert await rpc.request(topic, None) == b"NULL"
        assert await rpc.request(topic, b"messages") == b"one"  # others of the list are dropped
        assert await rpc.request(topic, b"hello") == b"HELLO"


async def test_an_error_reply_and_silence(
    embedded_kafka: EmbeddedKafka, spring_responder: Running
) -> None:
    plain, errors = spring_responder.topic("plain"), spring_responder.topic("errors")
    async with asking(embedded_kafka) as rpc:
        with pytest.raises(RemoteError) as raised:
            await rpc.request(errors, b"boom")
        assert (raised.value.status, raised.value.text) == ("unknown", "boom from spring")
        for value in (b"boom", b"null", b"list"):  # Spring says nothing then
            with pytest.raises(CallTimeout):
                await rpc.request(plain, value, res_timeout=SOON_S)
        with pytest.raises(ConfigurationError):
            rpc.stream(plain, b"hello")


async def test_a_pinned_partition(embedded_kafka: EmbeddedKafka, spring_responder: Running) -> None:
    topic, value = spring_responder.topic("plain"), unique("pinned")
    options = {"own_partition": True, "reply_topic": unique("replies"), "reply_partitions": 5}
    async with asking(embedded_kafka, **options) as one, asking(embedded_kafka, **options) as two:
        for rpc in (one, two):
            replies = await all_of(10, lambda _, rpc=rpc: rpc.request(topic, value.encode()))  # type: ignore[misc]  # mypy infers no default
            assert replies == [value.upper().encode()] * 10
    asked = [
        dict(headers_of(each))["kafka_replyPartition"] for each in began(spring_responder, value)
    ]
    assert len(asked) == 20
    assert all(len(each) == 4 and each[0] == 0 for each in asked)


async def test_a_hundred_calls_at_once(
    embedded_kafka: EmbeddedKafka, spring_responder: Running
) -> None:
    topic = spring_responder.topic("plain")
    async with asking(embedded_kafka) as rpc:
        replies = await all_of(100, lambda number: rpc.request(topic, b"value-%d" % number))
    assert replies == [b"VALUE-%d" % number for number in range(100)]


async def test_our_client_restarts_in_mid_call(
    embedded_kafka: EmbeddedKafka, spring_responder: Running
) -> None:
    topic, options = spring_responder.topic("plain"), {"reply_topic": unique("replies")}
    outcomes: list[object] = []

    async def call(rpc: KafkaRPC) -> None:
        outcomes.extend(await all_of(1, lambda _: rpc.request(topic, b"held")))

    count = len(began(spring_responder, "held"))
    await spring_responder.service.ask_async("hold", hold_s=0.5)
    async with anyio.create_task_group() as tasks, asking(embedded_kafka, **options) as first:
        tasks.start_soon(call, first)
        await spring_responder.service.until(lambda: len(began(spring_responder, "held")) > count)
    assert [type(each) for each in outcomes] == [ClientClosed]
    async with asking(embedded_kafka, **options) as second:
        assert await second.request(topic, b"again") == b"AGAIN"


@pytest.mark.one_loop
async def test_spring_restarts_in_mid_call(
    embedded_kafka: EmbeddedKafka, spring_responder: Running
) -> None:
    topic, spring = spring_responder.topic("plain"), spring_responder.service
    replies: list[object] = []
    count = len(began(spring_responder, "held"))
    await spring.ask_async("hold", hold_s=300)

    async def call(rpc: KafkaRPC) -> None:
        replies.append(await rpc.request(topic, b"held", res_timeout=120.0))

    async with asking(embedded_kafka) as rpc, anyio.create_task_group() as tasks:
        tasks.start_soon(call, rpc)
        await spring.until(lambda: len(began(spring_responder, "held")) > count)
        await anyio.to_thread.run_sync(spring.kill)
        await anyio.to_thread.run_sync(spring.start)
    assert replies == [b"HELD"]
