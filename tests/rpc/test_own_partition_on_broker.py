"""Clients that share a reply topic, each reading one partition of it."""

from contextlib import AsyncExitStack

import anyio
import pytest

from benchmarks.rpc_own_partition import measure
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.real_asyncio import on_asyncio
from tests.support.rpc_on_broker import all_of, client_on, pair_on, reversed_, values
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.uvloop_too,
    pytest.mark.trio_asyncio_too,
]

CALLS = 50
"""The number of calls that each client makes whose bytes are counted."""


@pytest.mark.usefixtures("client")
@pytest.mark.librdkafka_too
async def test_clients_with_partitions_of_their_own(embedded_kafka: EmbeddedKafka) -> None:
    reply = await create_topic(embedded_kafka.bootstrap_servers, unique("reply"), 4)
    requests = values(100)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka) as (_, topic), AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    client_on(embedded_kafka, reply_topic=reply, own_partition=True)
                )
                for _ in range(3)
            ]
            replies = [
                await all_of(100, lambda n, rpc=rpc: rpc.request(topic, requests[n]))  # type: ignore[misc]
                for rpc in clients
            ]
            read = [client.status().reply_partitions for client in clients]
            # Two clients may have chosen the same partition: then each sees the other's replies,
            # some time after the other has seen them.
            expected = [100 * (read.count(partitions) - 1) for partitions in read]

            def foreign() -> list[int]:
                return [client.status().counters.foreign_replies for client in clients]

            await until(lambda: foreign() == expected)
    assert replies == [reversed_(requests)] * 3
    assert [len(partitions) for partitions in read] == [1, 1, 1]


@on_asyncio
async def test_with_a_partition_of_its_own_a_client_reads_no_more_beside_others(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    with anyio.fail_after(90):
        alone = await measure(bootstrap, 1, CALLS, 1000, own_partition=True)
        among = await measure(bootstrap, 8, CALLS, 1000, own_partition=True)
        reading_all = await measure(bootstrap, 8, CALLS, 1000, own_partition=False)
    # A client that shares its partition by chance reads its neighbours' replies, too.
    for got, foreign in zip(among.received, among.foreign, strict=True):
        assert got < 1.3 * alone.median * (1 + foreign / CALLS)
    assert min(reading_all.received) > 6 * alone.median
