"""A real broker understands each request, and its answers are read to their ends."""

import time

import anyio
import psutil
import pytest

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.connect import inspector
from sdml_kafka.transport.inspection import brokers, groups, logs, transactions
from sdml_kafka.transport.inspection.brokers import UNKNOWN_RIGHTS
from sdml_kafka.transport.interfaces.inspection import Request
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.kafka_from_outside import commit, create_topic, produce, unique
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.uvloop_too]

PATIENCE_S = 20.0
DESCRIBE = 8
NOT_COORDINATOR, UNKNOWN_ID = 16, 105
MINUTE_MS = 60_000


async def test_an_address_that_is_asked_twice_at_once_has_one_connection(
    embedded_kafka: EmbeddedKafka,
) -> None:
    """Two brokers that advertise the same address."""
    address = ("127.0.0.1", embedded_kafka.ports[0])
    connections = psutil.Process().net_connections
    before = len(connections())
    async with inspector({}) as opened:

        async def ask() -> None:
            await opened.ask(address, brokers.versions_request(), PATIENCE_S)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        await ask()
        await until(lambda: len(connections()) <= before + 1)


async def test_each_question_has_its_answer(embedded_kafka: EmbeddedKafka) -> None:
    servers = embedded_kafka.bootstrap_servers
    topic, group = unique("topic"), unique("group")
    await create_topic(servers, topic, 2, config={"retention.ms": "12345"})
    await produce(servers, topic, "abc", partition=1)
    await commit(servers, group, topic, 1, 2)
    address = ("127.0.0.1", embedded_kafka.ports[0])
    second = TopicPartition(topic, 1)

    async with inspector({"client_id": "asks"}) as opened:

        async def ask(request: Request) -> bytes:
            return await opened.ask(address, request, PATIENCE_S)

        versions = brokers.read_versions(await ask(brokers.versions_request()))
        assert versions.error == 0
        assert versions.apis[brokers.METADATA][1] >= 9
        assert versions.features["group.version"] >= 1

        metadata = brokers.read_metadata(
            await ask(brokers.metadata_request([topic], with_rights=True))
        )
        assert metadata.brokers == {0: address}
        (seen,) = metadata.topics
        assert (seen.name, seen.error, len(seen.partitions)) == (topic, 0, 2)
        assert seen.partitions[0].replicas == seen.partitions[0].in_sync == (0,)
        assert seen.rights >> DESCRIBE & 1
        assert metadata.rights >> DESCRIBE & 1
        everything = brokers.read_metadata(await ask(brokers.metadata_request(None)))
        assert topic in {each.name for each in everything.topics}
        assert everything.rights == UNKNOWN_RIGHTS

        (config,) = brokers.read_configs(await ask(brokers.configs_request(brokers.TOPIC, [topic])))
        assert (config.name, config.error, config.values["retention.ms"]) == (topic, 0, "12345")
        (config,) = brokers.read_configs(await ask(brokers.configs_request(brokers.BROKER, ["0"])))
        assert config.values["group.min.session.timeout.ms"] == "500"
        (config,) = brokers.read_configs(await ask(brokers.configs_request(brokers.GROUP, [group])))
        assert config.values["consumer.session.timeout.ms"] == "6000"

        quorum = brokers.read_quorum(await ask(brokers.quorum_request()))
        assert quorum.leader == 0
        assert quorum.now_ms is not None
        assert abs(quorum.now_ms - time.time() * 1000) < MINUTE_MS

        coordinator = groups.read_coordinator(await ask(groups.coordinator_request(group)))
        assert (coordinator.error, coordinator.node, coordinator.address) == (0, 0, address)
        other = groups.read_consumer_group(await ask(groups.consumer_group_request(group)))
        assert other.error == groups.NOT_FOUND
        found = groups.read_classic_group(await ask(groups.classic_group_request(group)))
        assert (found.error, found.state, found.members) == (0, "Empty", ())
        committed = groups.read_committed(await ask(groups.committed_request(group)))
        assert committed.offsets == {second: 2}

        asked = transactions.transaction_request(unique("id"))
        error = transactions.read_transaction_error(await ask(asked))
        assert error in (NOT_COORDINATOR, UNKNOWN_ID)

        for what, offset in ((logs.END, 3), (logs.BEGINNING, 0), (logs.LATEST_TIME, None)):
            request = logs.offsets_request(frozenset({second}), what)
            place = logs.read_offsets(await ask(request))[second]
            assert place.error == 0
            assert offset in (place.offset, None)
        assert 0 <= place.offset < 3  # that of the first of records with the same time
        assert abs(place.time_ms - time.time() * 1000) < MINUTE_MS
