"""A partition that is behind is not held up by a fetch that waits for others."""

from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.fetch import FetchRequest_v11

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer import fetch_sessions
from sdml_kafka.transport.aiokafka.consumer.adapter import connect
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.consumer_world import World, poll_until, seat, share_out

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

LONG_WAIT_S = 30.0
PARTITIONS = fetch_sessions.MIN_PARTITIONS
"""With fewer, requests encode themselves, and would not be noted."""
COUNT = 60
VALUE = b"v" * 1000


async def test_what_is_at_hand_is_followed_by_the_rest_at_once(
    world: World, embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, encode, waits = world.name(), FetchRequest_v11.encode, list[int]()

    def noting(request: FetchRequest_v11) -> bytes:
        waits.append(request.max_wait_time)
        encoded: bytes = encode(request)
        return encoded

    def consumer() -> Any:
        return AIOKafkaConsumer(
            bootstrap_servers=embedded_kafka.bootstrap_servers,
            group_id=topic,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=int(LONG_WAIT_S * 1000),
            request_timeout_ms=int(LONG_WAIT_S * 1000) + 5000,
            max_partition_fetch_bytes=10 * len(VALUE),
        )

    await world.create_topic(topic, PARTITIONS)
    behind = TopicPartition(topic, 0)
    for _ in range(COUNT):
        await world.produce(behind, VALUE)
    async with seat(connect(consumer), topic) as member:
        await share_out(PARTITIONS, member)
        await poll_until(lambda: member.count, member)
        monkeypatch.setattr(FetchRequest_v11, "encode", noting)
        with anyio.fail_after(LONG_WAIT_S / 2):
            while not waits:  # while it waits for the others, nothing is taken
                await member.poll([TopicPartition(topic, 1)])
            while member.count < COUNT:
                await member.poll(max_records=1)
