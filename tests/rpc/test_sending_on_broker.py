"""Requests that a real broker does not take."""

import anyio
import pytest

from sdml_kafka import KafkaRPC, PayloadTooLarge, RecordRefused, TopicMissing
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import all_of, client_on, pair_on, reversed_, values

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.uvloop_too,
    pytest.mark.trio_asyncio_too,
]


async def test_a_missing_request_topic_is_reported_soon(strict_kafka: EmbeddedKafka) -> None:
    async with client_on(strict_kafka) as rpc:
        with anyio.fail_after(5), pytest.raises(TopicMissing, match="nowhere"):
            await rpc.request("nowhere", b"value")


async def test_a_payload_over_the_brokers_limit_fails_its_own_call_alone(
    embedded_kafka: EmbeddedKafka,
) -> None:
    large, requests = b"x" * (2 << 20), values(100)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, partitions=1, max_request_size=8 << 20) as (rpc, topic):
            outcomes = await all_of(
                101,
                lambda number: rpc.request(topic, large if number == 50 else requests[number % 51]),
            )
    assert isinstance(outcomes.pop(50), PayloadTooLarge)
    assert outcomes == reversed_([*requests[:50], *(requests[n % 51] for n in range(51, 101))])


async def test_a_clock_that_is_wrong_is_reported_at_once_also_without_a_deadline(
    strict_kafka: EmbeddedKafka,
) -> None:
    """Records that the broker gets late are as old as those of a client whose clock is behind."""
    config = {"message.timestamp.before.max.ms": "500"}
    name = unique("request")
    topic = await create_topic(strict_kafka.bootstrap_servers, name, 1, config=config)
    async with client_on(strict_kafka) as rpc:
        await rpc.notify(topic, b"in time")
        strict_kafka.freeze()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_expect_refusal, rpc, topic)
                tasks.start_soon(_expect_refusal, rpc, topic)
                await anyio.sleep(1.0)
                strict_kafka.thaw()
        finally:
            strict_kafka.thaw()
        await rpc.notify(topic, b"in time again")
        assert rpc.status().counters.restarts == 0


async def _expect_refusal(rpc: KafkaRPC, topic: str) -> None:
    with anyio.fail_after(10), pytest.raises(RecordRefused, match=r"message\.timestamp") as caught:
        await rpc.request(topic, b"late", res_timeout=None)
    assert not caught.value.in_doubt
