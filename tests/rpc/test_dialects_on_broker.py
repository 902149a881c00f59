"""Calls in the dialects of Spring and NestJS on a real broker, with both sides of this package."""

from collections.abc import AsyncGenerator
from typing import Literal

import anyio
import pytest

from sdml_kafka import Call, RemoteError
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import all_of, client_on, pair_on, server_on, values

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.librdkafka_too,
    pytest.mark.usefixtures("client"),
]


@pytest.mark.parametrize("own_partition", [False, True])
async def test_replies_errors_and_nulls_in_both_dialects(
    embedded_kafka: EmbeddedKafka, own_partition: bool
) -> None:
    reply_topic = await create_topic(embedded_kafka.bootstrap_servers, unique("reply"), 3)
    dialects = list[str]()

    async def handle(value: bytes, call: Call) -> bytes | None:
        dialects.append(call.dialect)
        if value == b"fail":
            raise RemoteError("not_found", "no figs")
        return None if value == b"null" else value[::-1]

    shared = {"reply_topic": reply_topic, "own_partition": own_partition}
    requests = values(100)
    with anyio.fail_after(90):
        async with (
            pair_on(embedded_kafka, handle) as (native, topic),
            client_on(embedded_kafka, dialect="spring", **shared) as spring,
            client_on(embedded_kafka, dialect="nestjs", **shared) as nest,
        ):
            for rpc in (native, spring, nest):
                replies = await all_of(100, lambda n, rpc=rpc: rpc.request(topic, requests[n]))  # type: ignore[misc]
                assert replies == [value[::-1] for value in requests]
                assert await rpc.request(topic, b"null") == b""
                with pytest.raises(RemoteError, match="no figs") as caught:
                    await rpc.request(topic, b"fail", req_key="key")
                assert caught.value.status == "not_found"
    assert sorted(set(dialects)) == ["native", "nestjs", "spring"]
    assert [dialects.count(name) for name in sorted(set(dialects))] == [102] * 3


@pytest.mark.parametrize("end", ["at once", "late", "error"])
async def test_streams_of_nest(
    embedded_kafka: EmbeddedKafka, end: Literal["at once", "late", "error"]
) -> None:
    async def handle(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        for number in range(50):
            if number % 10 == 0:
                await anyio.sleep(0.01)
            yield b"%d" % number
        if end == "late":
            await anyio.sleep(0.01)
        if end == "error":
            raise RemoteError("gone", "no more")

    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("streams"), 2)
    reply_topic = await create_topic(bootstrap, unique("reply"), 3)
    seen, failure = list[bytes](), None
    with anyio.fail_after(90):
        async with (
            server_on(embedded_kafka, topic, handle),
            client_on(embedded_kafka, dialect="nestjs", reply_topic=reply_topic) as rpc,
        ):
            try:
                async for value in rpc.stream(topic, b""):
                    seen.append(value)
            except RemoteError as error:
                failure = error.status
    assert seen == [b"%d" % number for number in range(50)]
    assert failure == ("gone" if end == "error" else None)
