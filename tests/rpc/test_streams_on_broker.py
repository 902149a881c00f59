"""Streams of replies on a real broker."""

from collections.abc import AsyncGenerator

import anyio
import pytest

from sdml_kafka import Call
from sdml_kafka.testing import EmbeddedKafka
from tests.support.rpc_on_broker import pair_on

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.usefixtures("client")]


@pytest.mark.uvloop_too
@pytest.mark.trio_asyncio_too
async def test_a_stream_of_500_replies(embedded_kafka: EmbeddedKafka) -> None:
    async def count_up(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        for number in range(int(value)):
            yield b"%d" % number

    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, count_up) as (rpc, topic):
            received = [int(reply) async for reply in rpc.stream(topic, b"500")]
    assert received == list(range(500))


@pytest.mark.librdkafka_too
@pytest.mark.trio_asyncio_too
async def test_a_stream_that_is_closed_early_ends_in_the_server(
    embedded_kafka: EmbeddedKafka,
) -> None:
    ended = anyio.Event()

    async def without_end(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"more"
                await anyio.sleep(0.01)
        finally:
            ended.set()

    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, without_end) as (rpc, topic):
            async with rpc.stream(topic, b"", res_timeout=None) as stream:
                async for _ in stream:
                    break
            with anyio.fail_after(10):
                await ended.wait()
