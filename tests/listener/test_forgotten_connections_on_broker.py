"""A listener whose connections a load balancer forgets without a word."""

import time

import anyio
import pytest

from sdml_kafka import KafkaListener, ParserSpec, TopicPartition, parse_bytes
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import committed, create_topic, produce, unique
from tests.support.proxy import proxied
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

GOES_ON_WITHIN_S = 10.0


async def test_a_listener_goes_on_reading_and_committing(
    embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("topic"), 1)
    parser: ParserSpec[bytes] = {"topics": [topic], "type": bytes, "parser": parse_bytes}
    with proxied(monkeypatch) as proxy, anyio.fail_after(60):
        async with KafkaListener(
            parsers=[parser],
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            auto_commit={"every": 1},
        ) as listener:
            stream = await listener.subscribe(bytes)
            with monkeypatch.context() as direct:
                direct.setattr(proxy, "port_to", lambda port: port)
                await produce(bootstrap, topic, ["before"])
            assert await anext(stream) == b"before"
            proxy.forget()
            began = time.monotonic()
            with monkeypatch.context() as direct:
                direct.setattr(proxy, "port_to", lambda port: port)
                await produce(bootstrap, topic, ["after", "last"])
            assert await anext(stream) == b"after"
            assert await anext(stream) == b"last"  # "after" has finished
            await until(
                lambda: listener.status().partitions[TopicPartition(topic, 0)].committed == 2
            )
            assert time.monotonic() - began < GOES_ON_WITHIN_S + BUSY_S
            assert listener.status().counters.restarts == 0
    assert (await committed(bootstrap, group))[topic, 0] >= 2
