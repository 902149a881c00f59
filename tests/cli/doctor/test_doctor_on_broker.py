"""The doctor and a real Kafka, mostly in the process of the test."""

import asyncio
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from sdml_kafka import KafkaListener, parse_text
from sdml_kafka.cli.doctor.examination import Examination, Plan
from sdml_kafka.cli.doctor.facts import Ours
from sdml_kafka.cli.doctor.rules.all_rules import findings_of
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.connect import inspector
from sdml_kafka.transport.inspection.brokers import metadata_request, read_metadata
from sdml_kafka.transport.interfaces.inspection import Address, Inspector, Request
from tests.support.command_line import (
    BACKENDS,
    EXIT_TIMEOUT_S,
    PROGRAM,
    run_here,
    run_program,
)
from tests.support.guarded_kafka import CLERK, PASSWORD, Resource, Right, grant, login
from tests.support.kafka_from_outside import (
    commit,
    committed,
    create_topic,
    produce,
    topics_of,
    unique,
)
from tests.support.listener_on_broker import listener_on
from tests.support.misconfigured_kafka import misconfigured_kafka

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

FROZEN_S = 2.0
"""The timeout in tests of brokers that do not answer."""
BUSY_S = 5.0
"""Seconds that everything else may take on a machine that is busy."""


Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def doctor(
    kafka: EmbeddedKafka | str, *words: str, run: Run = run_here
) -> "subprocess.CompletedProcess[bytes]":
    bootstrap = kafka if isinstance(kafka, str) else kafka.bootstrap_servers
    return run("doctor", "--bootstrap", bootstrap, "--watch", "0", *words)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for_connection(pid: int, port: int) -> None:
    """Return when the process is connected to the port."""
    process = psutil.Process(pid)
    while port not in {each.raddr.port for each in process.net_connections() if each.raddr}:
        pass


def report(kafka: EmbeddedKafka | str, *words: str, run: Run = run_here) -> Mapping[str, Any]:
    """Return the document that the doctor writes with `--json`."""
    ended = doctor(kafka, "--json", *words, run=run)
    assert ended.stderr == b""
    document: dict[str, Any] = json.loads(ended.stdout)
    assert ended.returncode == document["exit_code"]
    return document


def codes(document: Mapping[str, Any], *severities: str) -> set[str]:
    wanted = severities or ("error", "warning")
    return {each["code"] for each in document["findings"] if each["severity"] in wanted}


@BACKENDS
def test_a_kafka_that_is_well(embedded_kafka: EmbeddedKafka, backend: str) -> None:
    ended = doctor(embedded_kafka, "--backend", backend)
    assert ended.stderr == b""
    assert b"\nERROR" not in ended.stdout
    assert b" answers in " in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith(b"0 errors, ")
    assert ended.returncode in (0, 3)  # other tests use this Kafka as well


def test_the_clock_is_compared_without_a_write(embedded_kafka: EmbeddedKafka) -> None:
    before = asyncio.run(topics_of(embedded_kafka.bootstrap_servers))
    found = report(embedded_kafka, unique("never"))
    assert abs(found["clock"]["ahead_s"]) <= found["clock"]["within_s"] + 0.05
    assert "topic-missing" in codes(found)
    assert asyncio.run(topics_of(embedded_kafka.bootstrap_servers)) == before


def test_topics_and_their_settings(embedded_kafka: EmbeddedKafka) -> None:
    servers = embedded_kafka.bootstrap_servers
    first = unique("orders")
    for name, settings in {
        first: {"max.message.bytes": "2000"},
        f"{first}-dlt": {"cleanup.policy": "compact"},
        f"{first}-retry-60000": {"retention.ms": "1000"},
        f"{first}-strict": {"min.insync.replicas": "2"},
    }.items():
        asyncio.run(create_topic(servers, name, 1, config=settings))
    names = [first, *(f"{first}-{each}" for each in ("dlt", "retry-60000", "strict")), f"{first}x"]
    found = report(embedded_kafka, *names)
    by_topic = {
        (each["about"].removeprefix(f"topic {first}"), each["code"])
        for each in found["findings"]
        if each["severity"] != "note" and each["about"].startswith("topic ")
    }
    assert by_topic == {
        ("", "size-smaller"),
        ("-dlt", "compacted"),
        ("-retry-60000", "retention-short"),
        ("-strict", "min-insync-impossible"),
        ("x", "topic-missing"),
    }
    missing = next(each for each in found["findings"] if each["code"] == "topic-missing")
    assert repr(first) in missing["found"]


def test_a_group_that_nobody_is_in(embedded_kafka: EmbeddedKafka) -> None:
    servers, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = asyncio.run(create_topic(servers, unique("orders"), 2))
    asyncio.run(produce(servers, topic, "abc", partition=1))
    asyncio.run(commit(servers, group, topic, 1, 1))
    asyncio.run(commit(servers, group, topic, 0, 7))
    found = report(embedded_kafka, "--group", group)
    assert {"nobody-reads", "commit-beyond-end"} <= codes(found)
    assert found["group"]["lag_of"] == [[topic, 1, 2]]
    assert [each["name"] for each in found["topics"]] == [topic]
    assert asyncio.run(committed(servers, group)) == {(topic, 0): 7, (topic, 1): 1}
    missing = report(embedded_kafka, "--group", unique("never"))
    assert "group-missing" in codes(missing)


@pytest.mark.anyio
async def test_members_of_a_group_and_what_they_do_not_commit(
    embedded_kafka: EmbeddedKafka, anyio_backend: object
) -> None:
    servers, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(servers, unique("orders"), 1)
    await commit(servers, group, topic, 0, 0)
    options = {"group_id": group, "client_id": "stuck"}
    listeners = [listener_on(embedded_kafka, topic, **options) for _ in range(2)]
    async with listeners[0], listeners[1]:
        await produce(servers, topic, "abc")
        words = "--group", group, "--watch", "1"
        found = await anyio.to_thread.run_sync(
            partial(report, embedded_kafka, *words, run=run_program)
        )
    assert {"idle-members", "no-progress"} <= codes(found)
    assert not codes(found, "error")
    assert (found["group"]["protocol"], found["group"]["assignor"]) == ("classic", "roundrobin")
    assert found["group"]["members"] == 2
    (stuck,) = (each for each in found["findings"] if each["code"] == "no-progress")
    assert "member stuck@127.0.0.1" in stuck["about"]
    assert f"{topic} 0 at 0" in stuck["found"]


@pytest.mark.anyio
async def test_a_group_of_kip_848(embedded_kafka: EmbeddedKafka, anyio_backend: object) -> None:
    servers, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(servers, unique("orders"), 3)
    async with KafkaListener(
        [{"topics": [topic], "type": str, "parser": parse_text}],
        bootstrap_servers=servers,
        group_id=group,
        client="librdkafka",
    ):
        found = await anyio.to_thread.run_sync(
            partial(report, embedded_kafka, "--group", group, run=run_program)
        )
    assert (found["group"]["protocol"], found["group"]["state"]) == ("consumer", "Stable")
    (member,) = found["group"]["member_list"]
    assert member["topics"] == [topic]
    assert member["partitions"] == [[topic, number] for number in range(3)]
    assert not codes(found, "error")


def test_time_outs_of_a_file(embedded_kafka: EmbeddedKafka, tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    path.write_text("session_timeout_ms = 3_600_000\nmax_poll_interval_ms = 5000\n")
    found = report(embedded_kafka, "--config", str(path), "-o", "heartbeat_interval_ms=2000000")
    wrong = {"session-refused", "polls-shorter-than-session", "heartbeats-few"}
    assert wrong <= codes(found)


@pytest.mark.one_loop
@BACKENDS
def test_a_frozen_kafka_is_a_finding(mortal_kafka: EmbeddedKafka, backend: str) -> None:
    mortal_kafka.freeze()
    try:
        words = "--timeout", str(FROZEN_S), "--group", "g", "--backend", backend
        ended = doctor(mortal_kafka, *words)
    finally:
        mortal_kafka.thaw()
    assert ended.returncode == 1
    assert ended.stderr == b""
    assert b"it takes connections, and does not answer" in ended.stdout


@pytest.mark.anyio
@pytest.mark.parametrize("answers", [0, 2])
async def test_a_kafka_that_freezes_is_waited_for_once(
    mortal_kafka: EmbeddedKafka, anyio_backend: object, answers: int
) -> None:
    port = mortal_kafka.ports[0]
    plan = Plan((("127.0.0.1", port),), ("orders",), "g", FROZEN_S, 0.0)
    try:
        async with inspector({}) as opened:
            freezing = Freezing(opened, mortal_kafka, answers)
            await serves_clients(opened, ("127.0.0.1", port))  # it may have been thawed just now
            begun = time.monotonic()
            facts = await Examination(freezing, plan, Ours()).run()
            taken_s = time.monotonic() - begun
    finally:
        mortal_kafka.thaw()
    found = {each.code for each in findings_of(facts)}
    assert found & {"bootstrap-unreachable", "broker-unreachable", "broker-stopped"}
    assert FROZEN_S <= taken_s < FROZEN_S + BUSY_S


async def serves_clients(inspector: Inspector, address: Address) -> None:
    """Return when the broker names brokers to its clients."""
    with anyio.fail_after(EXIT_TIMEOUT_S):
        while not read_metadata(
            await inspector.ask(address, metadata_request(()), EXIT_TIMEOUT_S)
        ).brokers:
            pass


class Freezing:
    """An inspector whose Kafka freezes after some answers."""

    def __init__(self, inspector: Inspector, kafka: EmbeddedKafka, answers: int) -> None:
        self._inspector = inspector
        self._kafka = kafka
        self._left = answers

    async def ask(self, address: Address, request: Request, timeout_s: float) -> bytes:
        if self._left == 0:
            self._kafka.freeze()
        self._left -= 1
        return await self._inspector.ask(address, request, timeout_s)


def test_nothing_listens() -> None:
    ended = doctor("127.0.0.1:1")
    assert ended.returncode == 1
    assert b"it refuses connections, so nothing listens there" in ended.stdout
    assert ended.stderr == b""


@BACKENDS
def test_ctrl_c_ends_it(mortal_kafka: EmbeddedKafka, backend: str) -> None:
    mortal_kafka.freeze()
    argv = [PROGRAM, "doctor", "--bootstrap", mortal_kafka.bootstrap_servers, "--timeout", "60"]
    try:
        with subprocess.Popen(
            [*argv, "--backend", backend], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            wait_for_connection(process.pid, mortal_kafka.ports[0])
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=EXIT_TIMEOUT_S)
    finally:
        mortal_kafka.thaw()
    assert (process.returncode, out, err) == (130, b"", b"")


def test_a_pipe_that_is_closed(embedded_kafka: EmbeddedKafka) -> None:
    argv = [PROGRAM, "doctor", "--bootstrap", embedded_kafka.bootstrap_servers]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(EXIT_TIMEOUT_S) in (0, 1, 3)


def test_a_disk_that_is_full_is_said(embedded_kafka: EmbeddedKafka) -> None:
    argv = [PROGRAM, "doctor", "--bootstrap", embedded_kafka.bootstrap_servers]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"the report cannot be written" in done.stderr


@pytest.fixture
def clerks_file(guarded_kafka: EmbeddedKafka, tmp_path: Path) -> str:
    path = tmp_path / "client.toml"
    options = {"bootstrap_servers": guarded_kafka.bootstrap_servers, **login(CLERK)}
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()))
    path.chmod(0o600)
    return str(path)


def test_what_a_client_may_not_do(guarded_kafka: EmbeddedKafka, clerks_file: str) -> None:
    servers, group = guarded_kafka.bootstrap_servers, unique("group")
    names = [unique(name) for name in ("hidden", "read", "written", "seen")]
    for name in names:
        asyncio.run(create_topic(servers, name, 1, login=login()))
    _, read, written, seen = names
    asyncio.run(grant(guarded_kafka, Resource.TOPIC, read, Right.READ))
    asyncio.run(grant(guarded_kafka, Resource.TOPIC, written, Right.WRITE))
    asyncio.run(grant(guarded_kafka, Resource.TOPIC, seen, Right.DESCRIBE))
    found = report(guarded_kafka, *names, "--config", clerks_file, "--group", group)
    about = {(each["about"], each["code"]) for each in found["findings"]}
    assert {
        (f"topic {names[0]}", "topic-forbidden"),
        (f"topic {read}", "no-write"),
        (f"topic {written}", "no-read"),
        (f"topic {seen}", "no-read"),
        (f"group {group}", "no-group"),
        (f"group {group}", "no-transactions"),
        ("the settings", "settings-hidden"),
        ("the cluster", "no-create"),
        ("the clock", "clock-unknown"),
    } <= about
    asyncio.run(grant(guarded_kafka, Resource.GROUP, group, Right.READ))
    ids = Resource.TRANSACTIONAL_ID, f"{group}-"
    asyncio.run(grant(guarded_kafka, *ids, Right.WRITE, is_prefix=True))
    found = report(guarded_kafka, read, "--config", clerks_file, "--group", group)
    assert not {"no-group", "no-transactions"} & set(codes(found))
    assert not codes(found, "error")


def test_a_wrong_password_is_a_finding_that_does_not_show_it(
    guarded_kafka: EmbeddedKafka, clerks_file: str
) -> None:
    words = "--config", clerks_file, "-o", "sasl_plain_password=not-the-secret"
    ended = doctor(guarded_kafka, *words)
    assert ended.returncode == 1
    assert b"[credentials-refused]" in ended.stdout
    assert b"not-the-secret" not in ended.stdout + ended.stderr
    assert PASSWORD.encode() not in ended.stdout + ended.stderr
    plain = doctor(guarded_kafka)
    assert plain.returncode == 1
    assert b"security_protocol is 'PLAINTEXT'" in plain.stdout


def test_an_advertised_address_that_leads_nowhere() -> None:
    port = free_port()
    with misconfigured_kafka({port: "127.0.0.1:1"}, {}):
        found = report(f"127.0.0.1:{port}")
    assert codes(found, "error") == {"advertised-unreachable"}
    assert found["bootstrap"][0]["answers"]
    assert not found["brokers"][0]["answers"]
    assert found["cluster"] is not None


@pytest.mark.timeout(240)
def test_three_brokers_of_which_one_is_dead_and_another_is_frozen() -> None:
    with EmbeddedKafka(nodes=3) as kafka:
        servers = kafka.bootstrap_servers
        settings = {"min.insync.replicas": "2"}
        topic = asyncio.run(create_topic(servers, "orders", 3, copies=3, config=settings))
        assert codes(report(kafka, topic)) == set()
        kafka.kill(2)
        wanted = {"bootstrap-unreachable", "broker-away", "under-replicated"}
        found = _report_with(kafka, wanted, topic)
        assert not codes(found, "error")
        kafka.freeze(1)
        ended = doctor(kafka, topic, "--group", "g", "--timeout", str(FROZEN_S), "--json")
        kafka.thaw(1)
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert "broker-unreachable" in codes(json.loads(ended.stdout))


def _report_with(kafka: EmbeddedKafka, wanted: set[str], topic: str) -> Mapping[str, Any]:
    """Return the first report with these findings: a broker is missed after its session."""
    while not wanted <= codes(found := report(kafka, topic)):
        pass
    return found
