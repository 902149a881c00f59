"""Our client asks Spring's `@KafkaListener` with `@SendTo`, and NestJS's `@MessagePattern`."""

import struct
from collections.abc import Callable
from typing import Any, Literal

import anyio
import pytest
from attrs import frozen

from sdml_kafka import (
    CallTimeout,
    ClientClosed,
    ConfigurationError,
    KafkaRPC,
    RemoteError,
    SdmlKafkaError,
)
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
PARTITIONS = 5


@frozen
class Responder:
    """A service that answers, in upper case, what our client asks in its dialect."""

    running: Running
    dialect: Literal["spring", "nestjs"]
    topic: str
    partition_of: Callable[[bytes], int]
    """Return the partition that a request asks its reply for, from the header's value."""
    _kafka: EmbeddedKafka

    def asking(self, **options: Any) -> KafkaRPC:
        """Return a client."""
        return client_on(self._kafka, dialect=self.dialect, start_timeout=60.0, **options)

    def began(self, value: str) -> list[Event]:
        """Return what the service has begun to handle."""
        return self.running.service.having(event="began", value=value)

    async def has_begun(self, value: str, before: int) -> None:
        """Wait until it has begun to handle more requests with this value than before."""
        await self.running.service.until(lambda: len(self.began(value)) > before)


@pytest.fixture
def spring(embedded_kafka: EmbeddedKafka, spring_responder: Running) -> Responder:
    def partition_of(value: bytes) -> int:
        (number,) = struct.unpack(">i", value)
        return int(number)

    topic = spring_responder.topic("plain")
    return Responder(spring_responder, "spring", topic, partition_of, embedded_kafka)


@pytest.fixture
def nest(embedded_kafka: EmbeddedKafka, nest_responder: Running) -> Responder:
    return Responder(nest_responder, "nestjs", nest_responder.topic("one"), int, embedded_kafka)


@pytest.fixture(params=["spring", "nest"])
def peer(request: pytest.FixtureRequest) -> Responder:
    responder: Responder = request.getfixturevalue(request.param)
    return responder


# -- both ----------------------------------------------------------------------------------------


async def test_a_pinned_partition(peer: Responder) -> None:
    value = unique("pinned")
    options = {"reply_topic": unique("replies"), "reply_partitions": PARTITIONS}
    options["own_partition"] = True
    async with peer.asking(**options) as one, peer.asking(**options) as two:
        for rpc in (one, two):
            replies = await all_of(10, lambda _, rpc=rpc: rpc.request(peer.topic, value.encode()))  # type: ignore[misc]  # mypy infers no default
            assert replies == [value.upper().encode()] * 10
    asked = [dict(headers_of(each))["kafka_replyPartition"] for each in peer.began(value)]
    assert len(asked) == 20
    assert all(peer.partition_of(each) in range(PARTITIONS) for each in asked)


async def test_a_hundred_calls_at_once(peer: Responder) -> None:
    async with peer.asking() as rpc:
        replies = await all_of(100, lambda number: rpc.request(peer.topic, b"value-%d" % number))
    assert replies == [b"VALUE-%d" % number for number in range(100)]


async def test_our_client_restarts_in_mid_call(peer: Responder) -> None:
    options, outcomes = {"reply_topic": unique("replies")}, list[object]()

    async def call(rpc: KafkaRPC) -> None:
        outcomes.extend(await all_of(1, lambda _: rpc.request(peer.topic, b"held")))

    before = len(peer.began("held"))
    await peer.running.service.ask_async("hold", hold_s=0.5)
    async with anyio.create_task_group() as tasks, peer.asking(**options) as first:
        tasks.start_soon(call, first)
        await peer.has_begun("held", before)
    assert [type(each) for each in outcomes] == [ClientClosed]
    async with peer.asking(**options) as second:
        assert await second.request(peer.topic, b"again") == b"AGAIN"


@pytest.mark.one_loop
async def test_the_service_restarts_in_mid_call(peer: Responder) -> None:
    service, replies, before = peer.running.service, list[object](), len(peer.began("held"))
    await service.ask_async("hold", hold_s=300)

    async def call(rpc: KafkaRPC) -> None:
        replies.append(await rpc.request(peer.topic, b"held", res_timeout=120.0))

    async with peer.asking() as rpc, anyio.create_task_group() as tasks:
        tasks.start_soon(call, rpc)
        await peer.has_begun("held", before)
        await anyio.to_thread.run_sync(service.kill)
        await anyio.to_thread.run_sync(service.start)
    assert replies == [b"HELD"]


# -- Spring --------------------------------------------------------------------------------------


@pytest.mark.librdkafka_too
async def test_replies_of_spring(spring: Responder) -> None:
    topic = spring.topic
    async with spring.asking() as rpc:
        assert await rpc.request(topic, b"hello") == b"HELLO"
        assert await rpc.request(topic, b"hello", req_key=b"k") == b"HELLO"
        assert await rpc.request(topic, b"hello", correlation_id=b"\x00\xff") == b"HELLO"
        assert await rpc.request(topic, None) == b"NULL"
        assert await rpc.request(topic, b"messages") == b"one"  # others of the list are dropped
        assert await rpc.request(topic, b"hello") == b"HELLO"


async def test_an_error_reply_and_silence_of_spring(spring: Responder) -> None:
    async with spring.asking() as rpc:
        with pytest.raises(RemoteError) as raised:
            await rpc.request(spring.running.topic("errors"), b"boom")
        assert (raised.value.status, raised.value.text) == ("unknown", "boom from spring")
        for value in (b"boom", b"null", b"list"):  # Spring says nothing then
            with pytest.raises(CallTimeout):
                await rpc.request(spring.topic, value, res_timeout=SOON_S)
        with pytest.raises(ConfigurationError):
            rpc.stream(spring.topic, b"hello")


# -- NestJS --------------------------------------------------------------------------------------


@pytest.mark.librdkafka_too
async def test_replies_of_nest(nest: Responder) -> None:
    topic = nest.topic
    async with nest.asking() as rpc:
        assert await rpc.request(topic, b"hello") == b"HELLO"
        assert await rpc.request(topic, b"hello", req_key=b"k") == b"HELLO"
        assert await rpc.request(topic, b'{"a":1}') == b'{"a":1}'
        assert await rpc.request(topic, b"null") in (None, b"")


async def test_errors_of_nest(nest: Responder) -> None:
    wanted = {
        b"boom": ("error", "boom"),
        b"boom-object": ("not_found", "no such thing"),
        b"boom-plain": ("error", "Internal server error"),
    }
    async with nest.asking() as rpc:
        for value, (status, text) in wanted.items():
            with pytest.raises(RemoteError) as raised:
                await rpc.request(nest.topic, value)
            assert (raised.value.status, raised.value.text) == (status, text)


@pytest.mark.librdkafka_too
async def test_streams_of_nest(nest: Responder) -> None:
    topic = nest.running.topic("stream")
    three = [b"x-1", b"x-2", b"x-3"]
    async with nest.asking(reply_partitions=3) as rpc:
        assert [each async for each in rpc.stream(topic, b"x")] == three
        late = [each async for each in rpc.stream(topic, b"late")]
        assert late == [b"late-1", b"late-2", b"late-3"]
        seen = []
        with pytest.raises(RemoteError) as raised:
            async for each in rpc.stream(topic, b"boom"):
                seen.append(each)  # noqa: PERF401  what came before the error counts
        assert seen == [b"boom-1"]
        assert (raised.value.status, raised.value.text) == ("error", "boom mid-stream")
        assert [each async for each in rpc.stream(nest.topic, b"hello")] == [b"HELLO"]
        with pytest.raises(SdmlKafkaError, match="stream"):
            await rpc.request(topic, b"x")
