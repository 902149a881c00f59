"""One broker of three is frozen: what the others have stays healthy, however little comes."""

from collections.abc import AsyncGenerator, Mapping

import anyio
import pytest
from confluent_kafka.admin import AdminClient

from sdml_kafka.health import rules
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import Reader, listener_on
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.soak,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("client"),
]

PARTITIONS = 6
WATCHED_S = 3.5 * rules.SILENT_S
"""Seconds in which requests to the frozen broker have become rare."""
PROPERTIES = {
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "3",
    "default.replication.factor": "1",
}


@pytest.fixture
async def cluster() -> AsyncGenerator[EmbeddedKafka]:
    async with EmbeddedKafka(nodes=3, properties=PROPERTIES) as kafka:
        yield kafka


def leaders(kafka: EmbeddedKafka, topic: str) -> Mapping[int, int]:
    with AdminClient({"bootstrap.servers": kafka.bootstrap_servers}) as admin:
        found = admin.list_topics(topic, 20).topics[topic].partitions
    return {number: each.leader for number, each in found.items()}


def coordinator(kafka: EmbeddedKafka, group: str) -> int:
    with AdminClient({"bootstrap.servers": kafka.bootstrap_servers}) as admin:
        found: int = admin.describe_consumer_groups([group])[group].result(20).coordinator.id
    return found


async def test_partitions_of_the_others_are_not_called_away(cluster: EmbeddedKafka) -> None:
    servers, group = cluster.bootstrap_servers, unique("group")
    topic = await create_topic(servers, unique("orders"), PARTITIONS)
    async with listener_on(cluster, topic, group_id=group) as listener:
        reader = Reader(listener)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader.read)
            for number in range(PARTITIONS):
                await produce(servers, topic, [f"v{number}"], partition=number)
            await reader.has_seen_all({f"v{number}" for number in range(PARTITIONS)})
            leader_of = await anyio.to_thread.run_sync(leaders, cluster, topic)
            its = await anyio.to_thread.run_sync(coordinator, cluster, group)
            node = next(each for each in leader_of.values() if each != its)
            frozen = {f"{topic} {number}" for number, each in leader_of.items() if each == node}
            await anyio.to_thread.run_sync(cluster.freeze, node)
            try:
                away = set[str]()
                with anyio.move_on_after(WATCHED_S):
                    while True:
                        health = listener.health()
                        away |= {part.name for part in health.parts if part.state == "broker away"}
                        await anyio.sleep(0.1)
            finally:
                await anyio.to_thread.run_sync(cluster.thaw, node)
            await until(lambda: listener.health().ready, within_s=30.0)
            tasks.cancel_scope.cancel()
    assert away == frozen
