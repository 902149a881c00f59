"""Consumers that a factory makes: it is called on an asyncio loop, and a started one is refused."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka import ConfigurationError, KafkaListener
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import read, texts
from tests.support.real_asyncio import on_asyncio

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.trio_asyncio_too]


async def test_a_factory_is_called_where_an_asyncio_loop_runs(
    embedded_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("topic"), 1)
    await produce(embedded_kafka.bootstrap_servers, topic, ["a"])
    made = []

    def factory() -> AIOKafkaConsumer:
        made.append(asyncio.get_running_loop())
        return AIOKafkaConsumer(
            bootstrap_servers=embedded_kafka.bootstrap_servers,
            group_id=unique("group"),
            auto_offset_reset="earliest",
        )

    async with KafkaListener(texts(topic), consumer_factory=factory) as listener:
        assert await read(listener, 1) == ["a"]
    assert len(made) == 1


@on_asyncio
async def test_a_factory_that_returns_a_started_consumer_is_refused(
    embedded_kafka: EmbeddedKafka,
) -> None:
    async with AIOKafkaConsumer(
        bootstrap_servers=embedded_kafka.bootstrap_servers, group_id=unique("group")
    ) as started:
        with pytest.raises(ConfigurationError, match="already started"):
            async with KafkaListener(texts("topic"), consumer_factory=lambda: started):
                pytest.fail("entered")
        assert not started._closed  # the program has started this consumer, and stops it
