"""Requests that a real broker does not take."""

import anyio
import pytest

from sdml_kafka import PayloadTooLarge, TopicMissing
from sdml_kafka.testing import EmbeddedKafka
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
