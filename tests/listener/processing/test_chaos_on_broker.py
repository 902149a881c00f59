"""Processing by key while members of the group come, go and are killed."""

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, on_asyncio, unique
from tests.support.processing_chaos import Watch, stir

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(400)]


async def fill(bootstrap: str, topic: str, count: int) -> None:
    async def send() -> None:
        from aiokafka import AIOKafkaProducer

        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for number in range(count):
                key = None if number % 10 == 9 else b"k%d" % (number * number % 37)
                await producer.send(topic, b"%d" % number, key=key)

    await on_asyncio(send())


async def check(kafka: EmbeddedKafka, seed: int, total: int) -> Watch:
    bootstrap = kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("chaos"), 5), unique("group")
    await fill(bootstrap, topic, total)
    watch = Watch()
    await stir(kafka, topic, group, watch, seed, total)
    assert watch.wrong == []
    assert len(watch.finished) == total
    return watch


async def test_keys_keep_their_order_and_nothing_is_lost(embedded_kafka: EmbeddedKafka) -> None:
    await check(embedded_kafka, seed=1, total=2000)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 8))
async def test_many_members_for_long(embedded_kafka: EmbeddedKafka, seed: int) -> None:
    await check(embedded_kafka, seed, total=30_000)
