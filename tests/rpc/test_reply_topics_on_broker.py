"""Reply topics that are deleted: by a client that has left, or under a client at work."""

from collections.abc import Awaitable
from typing import Any

import anyio
import pytest

from sdml_kafka import CallTimeout, SendFailed
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.producer.adapter import AiokafkaProducer
from sdml_kafka.transport.librdkafka.producer.adapter import LibrdkafkaProducer
from tests.support.clients import chosen
from tests.support.kafka_from_outside import delete_topic, topics_of, unique
from tests.support.rpc_on_broker import client_on, pair_on
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.usefixtures("client")]


@pytest.mark.uvloop_too
@pytest.mark.trio_asyncio_too
async def test_reply_topics_of_clients_that_have_left_do_not_come_back(
    embedded_kafka: EmbeddedKafka,
) -> None:
    """The broker creates topics on demand, and the server asks for all it knows at each new one."""
    topics: list[str] = []
    with anyio.fail_after(90):
        async with pair_on(embedded_kafka) as (_, topic):
            for _ in range(4):
                async with client_on(embedded_kafka) as rpc:
                    assert await rpc.request(topic, b"abc") == b"cba"
                    topics += [own for own, _ in rpc.status().reply_partitions]
            assert len(set(topics)) == 4
            left = set(topics) & await topics_of(embedded_kafka.bootstrap_servers)
    assert not left


@pytest.mark.one_loop
@pytest.mark.parametrize("shared", [True, False])
async def test_calls_go_on_after_the_reply_topic_was_deleted(
    strict_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    """Delete the reply topic; a shared one is created anew at the second attempt only."""
    reply = unique("reply")
    options: dict[str, Any] = {"reply_topic": reply} if shared else {}
    failures: list[Exception] = []
    producer: Any = LibrdkafkaProducer if chosen() == "librdkafka" else AiokafkaProducer
    create = producer.create_topic

    async def create_topic(self: Any, *arguments: Any) -> bool:
        if failures:
            raise failures.pop()
        return bool(await create(self, *arguments))

    monkeypatch.setattr(producer, "create_topic", create_topic)
    with anyio.fail_after(120):
        async with pair_on(strict_kafka, **options) as (rpc, topic):
            assert await rpc.request(topic, b"abc") == b"cba"
            failures += [SendFailed("in an outage")] * shared
            (reply,) = {own.topic for own in rpc.status().reply_partitions}
            await delete_topic(strict_kafka.bootstrap_servers, reply)
            await until(lambda: not rpc.status().reply_partitions)
            # A restart would read the new topic from its beginning.
            assert set(rpc._actors.reading.positions.values()) == {0}
            while not await got(rpc.request(topic, b"abc", res_timeout=1.0)):
                pass
            counters = rpc.status().counters
        assert shared == (reply in await topics_of(strict_kafka.bootstrap_servers))
    assert counters.restarts == 0
    assert not failures


async def got(call: Awaitable[object]) -> bool:
    try:
        await call
    except CallTimeout:
        return False
    return True
