"""A replay by a user who may make no transactions."""

import asyncio
import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import BACKENDS, run_here
from tests.support.dead_letters import failure_headers
from tests.support.guarded_kafka import CLERK, Resource, Right, grant, login
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.processing_on_broker import records_of

pytestmark = [pytest.mark.broker, pytest.mark.one_loop, pytest.mark.timeout(180)]


async def prepare(kafka: EmbeddedKafka) -> tuple[str, str]:
    """Create a topic with dead letters, and let the clerk do all that a replay has to."""
    servers = kafka.bootstrap_servers
    first = await create_topic(servers, unique("orders"), 1, login=login())
    dead = await create_topic(servers, f"{first}-dlt", 1, login=login())
    async with AIOKafkaProducer(bootstrap_servers=servers, **login()) as producer:
        for number in range(10):
            headers = list(failure_headers(first, timestamp_ms=0))
            await producer.send(dead, b"%d" % number, headers=headers)
        await producer.flush()
    await grant(kafka, Resource.TOPIC, dead, Right.READ)
    await grant(kafka, Resource.TOPIC, first, Right.WRITE)
    await grant(kafka, Resource.GROUP, Filters().group_for(dead, None), Right.READ)
    await grant(kafka, Resource.CLUSTER, "kafka-cluster", Right.IDEMPOTENT_WRITE)
    return first, dead


@BACKENDS
def test_without_rights_on_transactions_a_warning_says_what_that_means(
    guarded_kafka: EmbeddedKafka, tmp_path: Path, backend: str
) -> None:
    servers = guarded_kafka.bootstrap_servers
    first, dead = asyncio.run(prepare(guarded_kafka))
    path = tmp_path / "client.toml"
    options = {"bootstrap_servers": servers, **login(CLERK)}
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()))
    path.chmod(0o600)
    words = ["dead-letters", dead, "replay", "--new-time", "--backend", backend]
    for sent in (10, 0):
        ended = run_here(*words, "--config", str(path))
        assert ended.returncode == 0, ended.stderr
        assert b"without transactions" in ended.stderr
        assert b"%d records sent" % sent in ended.stderr
    values = [each.value or b"" for each in asyncio.run(records_of(servers, first, login=login()))]
    assert sorted(values) == [b"%d" % number for number in range(10)]
