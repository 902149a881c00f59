"""`sdml-kafka dead-letters` as people run it, on a real Kafka."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import BACKENDS, EXIT_TIMEOUT_S, PROGRAM
from tests.support.dead_letters import failure_headers
from tests.support.kafka_from_outside import create_topic, topics_of, unique

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

FIRST_MS = int(time.time() * 1000) - 3_600_000
"""Not so long ago that the broker deletes records of that time."""


class Topics:
    """A topic, and its dead letters."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self.servers = kafka.bootstrap_servers
        self.first = self.create(unique("orders"))
        self.dead = self.create(f"{self.first}-dlt")

    def create(self, name: str) -> str:
        return asyncio.run(create_topic(self.servers, name, 2))

    def fill(self, origins: Sequence[str], first_ms: int = FIRST_MS) -> None:
        """Write a dead letter for a record of each topic."""

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.servers) as producer:
                for number, origin in enumerate(origins):
                    failure = failure_headers(
                        origin, partition=1, offset=number, timestamp_ms=first_ms + number
                    )
                    headers = [("own", b"1"), *failure]
                    data = {"value": b"%d" % number, "key": b"k%d" % (number % 9)}
                    where = {"partition": number % 2, "headers": headers}
                    await producer.send(self.dead, **data, **where)
                await producer.flush()

        asyncio.run(send())

    def argv(self, *argv: str) -> list[str]:
        return [PROGRAM, "dead-letters", self.dead, *argv, "--bootstrap", self.servers]

    def run(self, *argv: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.argv(*argv), capture_output=True, timeout=2 * EXIT_TIMEOUT_S, check=False
        )

    def records(self, topic: str) -> list[dict[str, Any]]:
        argv = [PROGRAM, "listen", topic, "--bootstrap", self.servers]
        argv += ["--offset", "earliest", "--exit-at-end"]
        ended = subprocess.run(argv, capture_output=True, timeout=EXIT_TIMEOUT_S, check=True)
        return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.fixture
def topics(embedded_kafka: EmbeddedKafka) -> Topics:
    return Topics(embedded_kafka)


@BACKENDS
def test_list_show_and_replay(topics: Topics, backend: str) -> None:
    topics.fill([topics.first] * 5)
    on = ["--backend", backend]
    listed = topics.run(*on)
    assert (listed.returncode, listed.stderr) == (0, b"")
    lines = [json.loads(line) for line in listed.stdout.splitlines()]
    assert sorted(line["from"]["offset"] for line in lines) == [0, 1, 2, 3, 4]
    assert {line["exception"] for line in lines} == {"tests.support.dead_letters.Broken"}

    shown = topics.run("show", "1", "1", *on)
    assert shown.returncode == 0
    assert b"partition 1, offset 1\n" in shown.stdout
    assert shown.stdout.endswith(b"key:\n  k3\nvalue:\n  3\n")

    tried = topics.run("replay", "--dry-run", *on)
    assert (tried.returncode, tried.stdout.count(b"\n")) == (0, 5)
    assert topics.records(topics.first) == []

    assert topics.run("replay", *on).returncode == 0
    records = sorted(topics.records(topics.first), key=lambda record: record["timestamp"])
    assert [record["value"] for record in records] == ["0", "1", "2", "3", "4"]
    assert [record["key"] for record in records] == ["k0", "k1", "k2", "k3", "k4"]
    assert [record["timestamp"] - FIRST_MS for record in records] == [0, 1, 2, 3, 4]
    assert all(record["headers"] == [["own", "1"]] for record in records)

    again = topics.run("replay", *on)
    assert again.returncode == 0
    assert again.stderr.endswith(b"0 records sent\n")
    assert topics.run("replay", "--dry-run", *on).stdout == b""
    assert len(topics.records(topics.first)) == 5


def test_filters_have_commits_of_their_own(topics: Topics) -> None:
    other = topics.create(unique("other"))
    topics.fill([topics.first, other, topics.first])
    ended = topics.run("replay", "--from-topic", topics.first, "--same-partition")
    assert ended.returncode == 0
    assert ended.stderr.endswith(f"2 records sent ({topics.first}: 2)\n".encode())
    assert {record["partition"] for record in topics.records(topics.first)} == {1}
    assert topics.records(other) == []
    assert topics.run("replay", "--exception", "Broken", "--to", other).returncode == 0
    assert len(topics.records(other)) == 3


def test_names_that_are_never_sent_to(topics: Topics) -> None:
    topics.fill(["__consumer_offsets", topics.dead, "\x1b[31m"])
    ended = topics.run("replay")
    assert ended.returncode == 3
    assert ended.stderr.count(b"is left out") == 3
    assert b"\x1b" not in ended.stderr
    assert len(topics.records(topics.dead)) == 3
    assert topics.run("replay", "--to", topics.first).returncode == 0
    assert len(topics.records(topics.first)) == 3


def test_no_topic_is_created(topics: Topics) -> None:
    missing = unique("missing")
    topics.fill([missing])
    for _ in range(2):  # it is not taken for sent
        ended = topics.run("replay")
        assert ended.returncode == 1
        assert b"partition 0 offset 0: " in ended.stderr
        assert missing.encode() in ended.stderr
    assert missing not in asyncio.run(topics_of(topics.servers))


@BACKENDS
def test_each_is_sent_once_however_often_it_is_cut_off(topics: Topics, backend: str) -> None:
    count, codes = 10_000, list[int]()
    topics.fill([topics.first] * count)
    argv = topics.argv("replay", "--backend", backend)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(argv, stderr=subprocess.PIPE) as replaying:
            assert replaying.stderr is not None
            for line in replaying.stderr:
                if b"sending to" in line:
                    replaying.send_signal(number)
            codes.append(replaying.wait(EXIT_TIMEOUT_S))
    assert 143 in codes
    assert topics.run("replay", "--backend", backend).returncode == 0
    values = [int(record["value"]) for record in topics.records(topics.first)]
    assert len(values) == count
    assert set(values) == set(range(count))


def test_after_a_kill_only_what_was_on_its_way_is_sent_again(topics: Topics) -> None:
    count = 10_000
    topics.fill([topics.first] * count)
    with subprocess.Popen(topics.argv("replay"), stderr=subprocess.PIPE) as replaying:
        assert replaying.stderr is not None
        while b"sending to" not in replaying.stderr.readline():
            pass
        while not topics.records(topics.first):
            pass
        replaying.kill()
    assert topics.run("replay").returncode == 0
    values = [int(record["value"]) for record in topics.records(topics.first)]
    assert set(values) == set(range(count))
    assert len(values) <= count + 500


def test_places_that_are_not_there(topics: Topics) -> None:
    for place in (("0", "0"), ("2", "0")):
        ended = topics.run("show", *place)
        assert (ended.returncode, ended.stdout) == (1, b"")
        assert ended.stderr.count(b"\n") == 1


def test_records_that_are_too_old_for_their_topic(topics: Topics) -> None:
    topics.fill([topics.first], first_ms=1_000_000_000_000)
    assert b"--new-time" in topics.run("replay").stderr
    ended = topics.run("replay", "--new-time", "--partition", "0")
    assert b"--new-time" not in ended.stderr
    newest = max(record["timestamp"] for record in topics.records(topics.first))
    assert newest > FIRST_MS
