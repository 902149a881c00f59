"""Our client asks NestJS's `@MessagePattern`."""

from typing import Any

import anyio
import pytest

from sdml_kafka import ClientClosed, KafkaRPC, RemoteError, SdmlKafkaError
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


def asking(kafka: EmbeddedKafka, **options: Any) -> KafkaRPC:
    return client_on(kafka, dialect="nestjs", start_timeout=60.0, **options)


def began(nest: Running, value: str) -> list[Event]:
    """Return what Nest has begun to handle."""
    return nest.service.having(event="began", value=value)


@pytest.mark.librdkafka_too
async def test_replies(embedded_kafka: EmbeddedKafka, nest_responder: Running) -> None:
    topic = nest_responder.topic("one")
    async with asking(embedded_kafka) as rpc:
        assert await rpc.request(topic, b"hello") == b"HELLO"
        assert await rpc.request(topic, b"hello", req_key=b"k") == b"HELLO"
        assert await rpc.request(topic, b'{"a":1}') == b'{"a":1}'
        assert await rpc.request(topic, b"null") in (None, b"")


async def test_errors(embedded_kafka: EmbeddedKafka, nest_responder: Running) -> None:
    topic = nest_responder.topic("one")
    wanted = {
        b"boom": ("error", "boom"),
        b"boom-object": ("not_found", "no such thing"),
        b"boom-plain": ("error", "Internal server error"),
    }
    async with asking(embedded_kafka) as rpc:
        for value, (status, text) in wanted.items():
            with pytest.raises(RemoteError) as raised:
                await rpc.request(topic, value)
            assert (raised.value.status, raised.value.text) == (status, text)


@pytest.mark.librdkafka_too
async def test_streams(embedded_kafka: EmbeddedKafka, nest_responder: Running) -> None:
    topic = nest_responder.topic("stream")
    three = [b"x-1", b"x-2", b"x-3"]
    async with asking(embedded_kafka, reply_partitions=3) as rpc:
        assert [each async for each in rpc.stream(topic, b"x")] == three
        late = [each async for each in rpc.stream(topic, b"late")]
        assert late == [b"late-1", b"late-2", b"late-3"]
        seen = []
        with pytest.raises(RemoteError) as raised:
            async for each in rpc.stream(topic, b"boom"):
                seen.append(each)  # noqa: PERF401  what came before the error counts
        assert seen == [b"boom-1"]
        assert (raised.value.status, raised.value.text) == ("error", "boom mid-stream")
        one = nest_responder.topic("one")
        assert [each async for each in rpc.stream(one, b"hello")] == [b"HELLO"]
        with pytest.raises(SdmlKafkaError, match="stream"):
            await rpc.request(topic, b"x")


async def test_a_pinned_partition(embedded_kafka: EmbeddedKafka, nest_responder: Running) -> None:
    topic, value = nest_responder.topic("one"), unique("pinned")
    options = {"own_partition": True, "reply_topic": unique("replies"), "reply_partitions": 5}
    async with asking(embedded_kafka, **options) as one, asking(embedded_kafka, **options) as two:
        for rpc in (one, two):
            replies = await all_of(10, lambda _, rpc=rpc: rpc.request(topic, value.encode()))  # type: ignore[misc]  # mypy infers no default
            assert replies == [value.upper().encode()] * 10
    asked = [
        dict(headers_of(each))["kafka_replyPartition"] for each in began(nest_responder, value)
    ]
    assert len(asked) == 20
    assert all(each.isdigit() and len(each) == 1 for each in asked)


async def test_a_hundred_calls_at_once(
    embedded_kafka: EmbeddedKafka, nest_responder: Running
) -> None:
    topic = nest_responder.topic("one")
    async with asking(embedded_kafka) as rpc:
        replies = await all_of(100, lambda number: rpc.request(topic, b"value-%d" % number))
    assert replies == [b"VALUE-%d" % number for number in range(100)]


async def test_our_client_restarts_in_mid_call(
    embedded_kafka: EmbeddedKafka, nest_responder: Running
) -> None:
    topic, options = nest_responder.topic("one"), {"reply_topic": unique("replies")}
    outcomes: list[object] = []

    async def call(rpc: KafkaRPC) -> None:
        outcomes.extend(await all_of(1, lambda _: rpc.request(topic, b"held")))

    count = len(began(nest_responder, "held"))
    await nest_responder.service.ask_async("hold", hold_s=0.5)
    async with anyio.create_task_group() as tasks, asking(embedded_kafka, **options) as first:
        tasks.start_soon(call, first)
        await nest_responder.service.until(lambda: len(began(nest_responder, "held")) > count)
    assert [type(each) for each in outcomes] == [ClientClosed]
    async with asking(embedded_kafka, **options) as second:
        assert await second.request(topic, b"again") == b"AGAIN"


@pytest.mark.one_loop
async def test_nest_restarts_in_mid_call(
    embedded_kafka: EmbeddedKafka, nest_responder: Running
) -> None:
    topic, nest = nest_responder.topic("one"), nest_responder.service
    replies: list[object] = []
    count = len(began(nest_responder, "held"))
    await nest.ask_async("hold", hold_s=300)

    async def call(rpc: KafkaRPC) -> None:
        replies.append(await rpc.request(topic, b"held", res_timeout=120.0))

    async with asking(embedded_kafka) as rpc, anyio.create_task_group() as tasks:
        tasks.start_soon(call, rpc)
        await nest.until(lambda: len(began(nest_responder, "held")) > count)
        await anyio.to_thread.run_sync(nest.kill)
        await anyio.to_thread.run_sync(nest.start)
    assert replies == [b"HELD"]
