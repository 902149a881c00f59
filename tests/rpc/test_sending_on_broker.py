"""Requests that a real broker does not take."""

from time import time
from typing import Any, Literal

import anyio
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from sdml_kafka import KafkaRPC, PayloadTooLarge, RecordRefused, TopicMissing
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.rpc_on_broker import (
    all_of,
    client_on,
    pair_on,
    reverse,
    reversed_,
    server_on,
    values,
)
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.mark.usefixtures("client")
async def test_a_missing_request_topic_is_reported_soon(strict_kafka: EmbeddedKafka) -> None:
    async with client_on(strict_kafka) as rpc:
        with anyio.fail_after(1.0 + BUSY_S), pytest.raises(TopicMissing, match="nowhere"):
            await rpc.request("nowhere", b"value")


@pytest.mark.usefixtures("client")
@pytest.mark.uvloop_too
@pytest.mark.trio_asyncio_too
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


async def test_a_clock_that_is_ahead_is_reported_at_once_also_without_a_deadline(
    strict_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await create_topic(strict_kafka.bootstrap_servers, unique("request"), 1)
    async with client_on(strict_kafka) as rpc:
        await rpc.notify(topic, b"in time")
        with monkeypatch.context() as patch:
            patch.setattr(BatchBuilder, "append", _append_two_hours_ahead)
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(_expect_refusal, rpc, topic)
        await rpc.notify(topic, b"in time again")
        assert rpc.status().counters.restarts == 0


_append = BatchBuilder.append


def _append_two_hours_ahead(builder: BatchBuilder, **record: Any) -> Any:
    """Append the first record of a batch, as if the clock were ahead."""
    return _append(builder, **{**record, "timestamp": int((time() + 7200) * 1000)})


async def _expect_refusal(rpc: KafkaRPC, topic: str) -> None:
    with anyio.fail_after(30), pytest.raises(RecordRefused, match=r"message\.timestamp") as caught:
        await rpc.request(topic, b"value", res_timeout=None)
    assert not caught.value.in_doubt


@pytest.mark.usefixtures("client")
async def test_records_that_got_too_old_in_an_outage_are_sent_with_new_timestamps(
    strict_kafka: EmbeddedKafka,
) -> None:
    config = {"message.timestamp.before.max.ms": "500"}
    name = unique("request")
    topic = await create_topic(strict_kafka.bootstrap_servers, name, 1, config=config)
    async with client_on(strict_kafka) as rpc:
        await rpc.notify(topic, b"in time")
        strict_kafka.freeze()
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(rpc.notify, topic, b"late")
                await anyio.sleep(1.5)
                strict_kafka.thaw()
        finally:
            strict_kafka.thaw()
        assert rpc.status().counters.restarts == 0


@pytest.mark.usefixtures("client")
async def test_replies_that_the_broker_refuses_cost_nobody_else_a_reply(
    strict_kafka: EmbeddedKafka,
) -> None:
    """A compacted topic takes no record without a key."""
    servers = strict_kafka.bootstrap_servers
    compact = {"cleanup.policy": "compact"}
    compacted = await create_topic(servers, unique("reply"), 1, config=compact)
    topic = await create_topic(servers, unique("request"), 2)
    headers = [("x-reply-topic", compacted.encode())]
    requests = values(400)
    async with server_on(strict_kafka, topic, reverse) as server, client_on(strict_kafka) as rpc:
        await produce(servers, topic, ["first"], key=b"key", headers=headers)
        outcomes = list[Any]()

        async def call() -> None:
            outcomes.extend(await all_of(len(requests), lambda n: rpc.request(topic, requests[n])))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await produce(servers, topic, ["refused"] * 100, headers=headers)
            await until(lambda: server.status().counters.undeliverable == 100)
        assert server.status().counters.restarts == 0
    assert outcomes == reversed_(requests)


@pytest.mark.usefixtures("client")
@pytest.mark.uvloop_too
@pytest.mark.trio_asyncio_too
async def test_requests_that_the_broker_refuses_cost_no_other_call(
    strict_kafka: EmbeddedKafka,
) -> None:
    servers = strict_kafka.bootstrap_servers
    compact = {"cleanup.policy": "compact"}
    topic = await create_topic(servers, unique("request"), 1, config=compact)
    requests = values(200)
    async with server_on(strict_kafka, topic, reverse), client_on(strict_kafka) as rpc:
        await rpc.request(topic, b"first")

        async def call(number: int) -> object:
            where: Literal["header", "both"] = "header" if number % 5 == 0 else "both"
            return await rpc.request(
                topic, requests[number], res_timeout=20, propagate_corr_to=where
            )

        with anyio.fail_after(60):
            outcomes = await all_of(len(requests), call)
        assert rpc.status().counters.restarts == 0
    assert all(isinstance(outcomes[number], RecordRefused) for number in range(0, 200, 5))
    for number in range(200):
        if number % 5:
            assert outcomes[number] == requests[number][::-1]
