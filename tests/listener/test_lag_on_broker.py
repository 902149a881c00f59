"""The lag of a partition that is full, and so is not fetched, on a real Kafka."""

from functools import partial

import pytest

from sdml_kafka import KafkaListener, TopicPartition
from sdml_kafka.testing import EmbeddedKafka
from tests.support.clients import variant
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import listener_on
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.usefixtures("client"),
]


def has_session(listener: KafkaListener, protocol: str, timeout_s: float) -> bool:
    status = listener.status()
    return (status.group_protocol, status.session_timeout_s) == (protocol, timeout_s)


async def test_the_lag_of_a_full_partition_goes_on_growing(embedded_kafka: EmbeddedKafka) -> None:
    servers = embedded_kafka.bootstrap_servers
    topic = await create_topic(servers, unique("full"), 1)
    p0 = TopicPartition(topic, 0)
    await produce(servers, topic, ["x" * 500] * 6000)
    async with listener_on(embedded_kafka, topic, max_in_flight=10) as listener:
        async for _ in await listener.subscribe(str):
            await produce(servers, topic, ["x" * 500] * 3000)
            await until(lambda: listener.status().partitions[p0].lag == 9000)
            status = listener.status().partitions[p0]
            assert status.in_flight == 10
            assert status.lag_age_s is not None
            assert status.lag_age_s < 15
            expected = {
                "aiokafka": ("classic", 10.0),
                "librdkafka": ("consumer", 6.0),  # that of the embedded Kafka
                "librdkafka-classic": ("classic", 45.0),
            }[variant()]
            await until(partial(has_session, listener, *expected))
            break
