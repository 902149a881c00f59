"""A running embedded Kafka, and what can be done to its nodes."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError, KafkaStartError
from tests.support.leftovers import leftovers
from tests.support.round_trip import read, round_trip, run, send

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def kafka() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(properties={"num.partitions": "3"}) as kafka:
        yield kafka


def test_first_use_of_groups_logs_no_error(
    kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    run(send(kafka.bootstrap_servers, "first", b"hello"))
    caplog.clear()  # the client logs an error while a new topic is made
    assert run(read(kafka.bootstrap_servers, "first")) == [b"hello"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_properties_reach_the_broker(kafka: EmbeddedKafka) -> None:
    async def partitions() -> set[int] | None:
        await send(kafka.bootstrap_servers, "properties", b"")
        servers = kafka.bootstrap_servers
        async with AIOKafkaConsumer("properties", bootstrap_servers=servers) as consumer:
            found: set[int] | None = consumer.partitions_for_topic("properties")
            return found

    assert run(partitions()) == {0, 1, 2}


def test_a_killed_node_comes_back_with_its_data_at_its_port(kafka: EmbeddedKafka) -> None:
    servers = kafka.bootstrap_servers
    run(send(servers, "killed", b"before"))
    kafka.kill()
    assert not kafka.alive()
    kafka.restart()
    assert kafka.alive()
    assert kafka.bootstrap_servers == servers
    assert run(read(servers, "killed")) == [b"before"]


def test_a_frozen_node_takes_connections_and_answers_once_thawed(kafka: EmbeddedKafka) -> None:
    async def committed_offset() -> int | None:
        async with AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap_servers, group_id="frozen"
        ) as consumer:
            kafka.freeze()
            socket.create_connection(("127.0.0.1", kafka.ports[0]), 5).close()
            asked = asyncio.create_task(consumer.committed(TopicPartition("frozen", 0)))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(asked), 0.5)
            kafka.thaw()
            offset: int | None = await asked
            return offset

    run(send(kafka.bootstrap_servers, "frozen", b""))
    assert run(committed_offset()) is None
    assert kafka.alive()


@pytest.mark.one_loop
@pytest.mark.anyio
async def test_stopped_in_good_order_and_started_again(kafka: EmbeddedKafka) -> None:
    await kafka.stop_async()
    assert not kafka.alive()
    with pytest.raises(EmbeddedKafkaError, match="node 0 does not run: restart it first"):
        kafka.freeze()
    await kafka.restart_async()
    values = await anyio.to_thread.run_sync(round_trip, kafka.bootstrap_servers, "stopped")
    assert values == [b"hello"]


def test_a_node_that_does_not_exist(kafka: EmbeddedKafka) -> None:
    with pytest.raises(ValueError, match="there is no node 1: nodes are 0 to 0"):
        kafka.kill(1)


def test_the_port_of_a_running_kafka_is_taken(kafka: EmbeddedKafka, temp: Path) -> None:
    with pytest.raises(KafkaStartError, match=f"port {kafka.ports[0]} on 127.0.0.1 is taken"):
        EmbeddedKafka(port=kafka.ports[0]).start()
    assert leftovers(temp) == []
