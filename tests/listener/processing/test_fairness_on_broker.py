"""On a real broker partitions with a backlog take turns as well."""

from collections import Counter

import anyio
import pytest

from sdml_kafka import Delivery
from sdml_kafka.listener.processing.policies import Order
from sdml_kafka.listener.typed_queue import TURN
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import listener_on
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("client"),
]

PARTITIONS, EACH = 4, 2000


@pytest.mark.parametrize("order", ["key", "none"])
async def test_no_partition_of_a_backlog_gets_far_ahead(
    strict_kafka: EmbeddedKafka, order: Order
) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("backlog"), PARTITIONS)
    for partition in range(PARTITIONS):
        await produce(bootstrap, topic, [str(n) for n in range(EACH)], partition=partition)
    seen, leads = Counter(dict.fromkeys(range(PARTITIONS), 0)), list[int]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        seen[delivery.record.partition] += 1
        if min(seen.values()) > 0:  # the first fetch may bring records of one partition alone
            leads.append(max(seen.values()) - min(seen.values()))
        await anyio.sleep(0.002)

    listener = listener_on(strict_kafka, topic)
    listener.processor(str, order=order, concurrency=16)(handle)
    async with listener:
        await until(lambda: seen.total() >= PARTITIONS * EACH * 3 // 4)
    assert max(leads) <= leads[0] + 4 * TURN
