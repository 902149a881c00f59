"""The embedded Kafka as its users see it."""

import asyncio
import logging
import socket
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import attrs
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError, KafkaStartError
from sdml_kafka.testing.embedded import cluster as _cluster
from sdml_kafka.testing.embedded.ports import choose_ports
from tests.support.leftovers import jvms, leftovers, wait_until

pytestmark = pytest.mark.broker


def run[T](work: Coroutine[Any, Any, T]) -> T:
    """On a loop of its own, so that the clients are the same whatever the test runs on."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(asyncio.wait_for(work, 30))


async def send(servers: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def read(servers: str, topic: str, count: int = 1) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=f"of-{topic}", auto_offset_reset="earliest"
    )
    async with consumer:
        return [(await consumer.getone()).value for _ in range(count)]


def round_trip(servers: str, topic: str) -> list[bytes | None]:
    async def there_and_back() -> list[bytes | None]:
        await send(servers, topic, b"hello")
        return await read(servers, topic)

    return run(there_and_back())


@pytest.fixture(scope="module")
def kafka() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(properties={"num.partitions": "3"}) as kafka:
        yield kafka


def test_first_use_of_groups_logs_no_error(
    kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    run(send(kafka.bootstrap_servers, "first", b"hello"))
    caplog.clear()  # of what the client says while a new topic is made
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


@pytest.mark.anyio
async def test_async_with(temp: Path) -> None:
    async with EmbeddedKafka() as kafka:
        values = await anyio.to_thread.run_sync(round_trip, kafka.bootstrap_servers, "async")
        assert values == [b"hello"]
    assert leftovers(temp) == []


@pytest.mark.anyio
@pytest.mark.parametrize("main_class", ["kafka.tools.StorageTool", "kafka.Kafka"])
async def test_cancelled_while_it_starts_it_leaves_nothing(temp: Path, main_class: str) -> None:
    async def enter() -> None:
        async with EmbeddedKafka():
            pytest.fail("was not cancelled in time")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await anyio.to_thread.run_sync(wait_until, lambda: jvms(temp, main_class), 60)
        tasks.cancel_scope.cancel()
    assert leftovers(temp) == []


def test_three_nodes_are_one_cluster_with_replicas(temp: Path) -> None:
    first = choose_ports(1, None)[0].client
    with EmbeddedKafka(3, port=first) as kafka:
        assert kafka.ports == [first, first + 1, first + 2]
        run(send(kafka.bootstrap_servers, "three", b"kept"))
        kafka.stop(1)
        kafka.restart(1)
        assert run(read(kafka.bootstrap_servers, "three")) == [b"kept"]
        assert [kafka.alive(node) for node in range(3)] == [True, True, True]
    assert leftovers(temp) == []


def test_a_port_that_is_lost_to_another_process_is_replaced(
    temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken: int = other.getsockname()[1]
        choices = [[attrs.evolve(choose_ports(1, None)[0], client=taken)], choose_ports(1, None)]
        monkeypatch.setattr(_cluster, "choose_ports", lambda *_: choices.pop(0))
        with EmbeddedKafka() as kafka:
            assert kafka.ports != [taken]
    assert leftovers(temp) == []


def test_a_kafka_that_ends_at_the_start_shows_the_end_of_its_log(temp: Path) -> None:
    wrong = {"authorizer.class.name": "no.such.Authorizer"}
    with pytest.raises(KafkaStartError, match=r"(?s)ended while it started.*no\.such\.Authorizer"):
        EmbeddedKafka(properties=wrong).start()
    assert leftovers(temp) == []


def test_a_property_that_kafka_refuses_is_named(temp: Path) -> None:
    with pytest.raises(KafkaStartError, match=r"(?s)could not format.*num\.partitions"):
        EmbeddedKafka(properties={"num.partitions": "some"}).start()
    assert leftovers(temp) == []


def test_the_start_is_bounded(temp: Path) -> None:
    with pytest.raises(KafkaStartError, match=r"not ready in 0\.1 s"):
        EmbeddedKafka(start_timeout_s=0.1).start()
    assert leftovers(temp) == []


def test_outside_of_its_with_there_is_no_kafka() -> None:
    with pytest.raises(EmbeddedKafkaError, match="use it inside its `with`"):
        _ = EmbeddedKafka().bootstrap_servers
