"""Processing by key while members of the group come and go."""

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.processing_chaos import Watch, fill, stir

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("client"),
]


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
    await check(embedded_kafka, seed=1, total=800)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 8))
async def test_many_members_for_long(embedded_kafka: EmbeddedKafka, seed: int) -> None:
    await check(embedded_kafka, seed, total=30_000)
