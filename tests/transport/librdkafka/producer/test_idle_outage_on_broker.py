"""A producer whose broker is away waits for it without computing, and says which one it is."""

import time

import anyio
import pytest

from sdml_kafka import KafkaProducer
from sdml_kafka.testing import EmbeddedKafka
from tests.support.waiting import least_of, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]

WATCHED_S = 3.0
MAX_CPU_S = 1.2
"""The processor time of this process while it watches; it was nearly all of it before."""


async def test_looking_for_a_broker_costs_next_to_nothing(
    mortal_kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:

    async def watch() -> float:
        before = time.process_time()
        await anyio.sleep(WATCHED_S)
        return time.process_time() - before

    servers = mortal_kafka.bootstrap_servers
    async with KafkaProducer(bootstrap_servers=servers, client="librdkafka") as producer:
        await anyio.to_thread.run_sync(mortal_kafka.kill)
        try:
            await until(lambda: not producer.status().connected)
            used_s = await least_of(watch, MAX_CPU_S)
        finally:
            await anyio.to_thread.run_sync(mortal_kafka.restart)
        await until(lambda: producer.status().connected)
    assert used_s < MAX_CPU_S
    (away,) = (each for each in caplog.records if each.name == "sdml_kafka.producer")
    assert f"until one can: {servers}: it refuses connections" in away.getMessage()
    assert vars(away)["kafka_broker"] in ("0", servers)
    assert vars(away)["kafka_error"] == "BrokerUnreachable"
