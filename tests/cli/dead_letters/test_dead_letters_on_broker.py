"""`sdml-kafka dead-letters` on a real Kafka; what is cut off or killed is a program of its own."""

import asyncio
import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from sdml_kafka import PayloadTooLarge, Record
from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.dead_letters.replay import AT_ONCE
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.producer import transactions as aiokafka_transactions
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.transactions import RecordsFailed
from tests.support.command_line import BACKENDS, EXIT_TIMEOUT_S, PROGRAM, run_here, run_program
from tests.support.dead_letters import failure_headers
from tests.support.kafka_from_outside import create_topic, topics_of, unique
from tests.support.processing_on_broker import records_of

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

    def fill(
        self, origins: Sequence[str], first_ms: int = FIRST_MS, key: bytes | None = None
    ) -> None:
        """Write a dead letter for a record of each topic."""

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.servers) as producer:
                for number, origin in enumerate(origins):
                    failure = failure_headers(
                        origin, partition=1, offset=number, timestamp_ms=first_ms + number
                    )
                    headers = [("own", b"1"), *failure]
                    data = {"value": b"%d" % number, "key": key or b"k%d" % (number % 9)}
                    where = {"partition": number % 2, "headers": headers}
                    await producer.send(self.dead, **data, **where)
                await producer.flush()

        asyncio.run(send())

    def words(self, *words: str) -> list[str]:
        return ["dead-letters", self.dead, *words, "--bootstrap", self.servers]

    def argv(self, *words: str) -> list[str]:
        return [PROGRAM, *self.words(*words)]

    def committed(self, topic: str) -> list[bytes]:
        """Return the values that readers of committed records see."""

        async def read() -> list[bytes]:
            places = [TopicPartition(topic, number) for number in range(2)]
            async with AIOKafkaConsumer(
                bootstrap_servers=self.servers, isolation_level="read_committed"
            ) as consumer:
                consumer.assign(places)
                while True:  # a transaction ends a little after the command
                    ends = await consumer.end_offsets(places)
                    if sum(ends.values()) == await self.read_end(topic):
                        break
                await consumer.seek_to_beginning(*places)
                found: list[bytes] = []
                while any([await consumer.position(each) < ends[each] for each in places]):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        found += [record.value for record in records]
                return found

        return asyncio.run(read())

    async def read_end(self, topic: str) -> int:
        places = [TopicPartition(topic, number) for number in range(2)]
        async with AIOKafkaConsumer(bootstrap_servers=self.servers) as consumer:
            return sum((await consumer.end_offsets(places)).values())

    def end(self, topic: str) -> int:
        """Return how many offsets the topic has."""
        return asyncio.run(self.read_end(topic))

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return run_here(*self.words(*words))

    def records(self, topic: str) -> list[Record]:
        return asyncio.run(records_of(self.servers, topic))


@pytest.fixture
def topics(embedded_kafka: EmbeddedKafka) -> Topics:
    return Topics(embedded_kafka)


@pytest.mark.one_loop
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
    records = sorted(topics.records(topics.first), key=lambda record: record.timestamp)
    assert [record.value for record in records] == [b"0", b"1", b"2", b"3", b"4"]
    assert [record.key for record in records] == [b"k0", b"k1", b"k2", b"k3", b"k4"]
    assert [record.timestamp - FIRST_MS for record in records] == [0, 1, 2, 3, 4]
    assert all(list(record.headers) == [("own", b"1")] for record in records)

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
    assert {record.partition for record in topics.records(topics.first)} == {1}
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


@pytest.mark.one_loop
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
    values = [int(record.value or b"") for record in topics.records(topics.first)]
    assert len(values) == count
    assert set(values) == set(range(count))


@BACKENDS
@pytest.mark.one_loop
def test_each_is_sent_once_however_often_it_is_killed(topics: Topics, backend: str) -> None:
    count, argv = 2_500, topics.argv("replay", "--backend", backend)
    chance, runs, kills = random.Random(backend), 0, 0
    while kills < 2:  # a run that ends before it is killed counts for nothing
        topics.fill([topics.first] * count)
        before, runs = topics.end(topics.first), runs + 1
        with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as replaying:
            while topics.end(topics.first) == before and replaying.poll() is None:
                pass
            time.sleep(chance.random() * 0.2)
            replaying.kill()
        kills += replaying.returncode == -signal.SIGKILL
    assert topics.run("replay", "--backend", backend).returncode == 0
    assert Counter(topics.committed(topics.first)) == {b"%d" % each: runs for each in range(count)}
    # Who reads what is not committed as well may see a part of each run twice.
    assert len(topics.records(topics.first)) <= runs * count + kills * AT_ONCE


@BACKENDS
@pytest.mark.one_loop
def test_a_member_that_is_gone_keeps_no_dead_letters(topics: Topics, backend: str) -> None:
    """A process that was killed is a member of its group until its session has ended."""
    topics.fill([topics.first] * 20)

    async def replay_beside_a_member() -> subprocess.CompletedProcess[bytes]:
        group = Filters().group_for(topics.dead, None)
        where = {"bootstrap_servers": topics.servers, "group_id": group}
        replay = topics.words("replay", "--backend", backend)
        async with AIOKafkaConsumer(topics.dead, **where, enable_auto_commit=False):
            return await asyncio.to_thread(run_program, *replay)

    ended = asyncio.run(replay_beside_a_member())
    assert ended.returncode == 0
    assert ended.stderr.endswith(f"20 records sent ({topics.first}: 20)\n".encode())
    assert len(topics.committed(topics.first)) == 20


@BACKENDS
@pytest.mark.one_loop
def test_what_comes_before_a_record_that_is_not_taken_is_sent(topics: Topics, backend: str) -> None:
    missing = unique("missing")
    topics.fill([topics.first, topics.first, topics.first, topics.first, missing, topics.first])
    ended = topics.run("replay", "--partition", "0", "--backend", backend)
    assert ended.returncode == 1
    *_, error, summary = ended.stderr.decode().splitlines()
    assert error.startswith("sdml-kafka: dead-letters: partition 0 offset 2: ")
    assert summary == f"2 records sent ({topics.first}: 2)"
    assert ended.stderr.count(missing.encode()) == 2, "sending to it, and the error"
    assert sorted(topics.committed(topics.first)) == [b"0", b"2"]
    asyncio.run(create_topic(topics.servers, missing, 2))
    assert topics.run("replay", "--partition", "0", "--backend", backend).returncode == 0
    assert sorted(topics.committed(topics.first)) == [b"0", b"2"]
    assert topics.committed(missing) == [b"4"]


def test_a_record_that_is_too_large_stops_the_replay(topics: Topics) -> None:
    small = asyncio.run(
        create_topic(topics.servers, unique("small"), 2, config={"max.message.bytes": "200"})
    )
    topics.fill([small, small, small], key=b"x" * 90)
    ended = topics.run("replay", "--partition", "0", "--to", small)
    assert ended.returncode == 0
    topics.fill([small], key=b"x" * 500)
    ended = topics.run("replay", "--partition", "0", "--to", small)
    assert ended.returncode == 1
    assert b"partition 0 offset 2: " in ended.stderr
    assert len(topics.committed(small)) == 2


def test_a_second_run_takes_the_place_of_the_first(topics: Topics) -> None:
    count = 5_000
    topics.fill([topics.first] * count)
    with subprocess.Popen(topics.argv("replay"), stderr=subprocess.PIPE) as first:
        while not topics.end(topics.first):
            assert first.poll() is None
        assert topics.run("replay").returncode == 0
        _, said = first.communicate(timeout=EXIT_TIMEOUT_S)
    assert first.returncode == 0 or b"has begun" in said
    assert b"Traceback" not in said
    values = topics.committed(topics.first)
    assert len(values) == count
    assert set(values) == {b"%d" % number for number in range(count)}


def test_a_run_that_was_overtaken_goes_on_with_nothing(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that the client refuses says nothing of another run, and has a new producer made."""
    topics.fill([topics.first] * 40)
    send_all, others = aiokafka_transactions._send_all, list[int]()

    async def refuse_late(producer: Any, messages: Sequence[Message]) -> None:
        if others:
            return await send_all(producer, messages)
        ended = await asyncio.to_thread(run_program, *topics.words("replay"))
        others.append(ended.returncode)
        raise RecordsFailed(PayloadTooLarge("larger than max_request_size"))

    monkeypatch.setattr(aiokafka_transactions, "_send_all", refuse_late)
    ended = topics.run("replay")
    assert Counter(topics.committed(topics.first)) == {b"%d" % number: 1 for number in range(40)}
    assert (others, ended.returncode) == ([0], 1)
    assert b"has begun" in ended.stderr


def test_places_that_are_not_there(topics: Topics) -> None:
    for place in (("0", "0"), ("2", "0")):
        ended = topics.run("show", *place)
        assert (ended.returncode, ended.stdout) == (1, b"")
        assert ended.stderr.count(b"\n") == 1
        assert b"--" not in ended.stderr


def test_records_that_are_no_dead_letters_are_listed_with_a_warning(topics: Topics) -> None:
    argv = [PROGRAM, "send", topics.dead, "--json", "--bootstrap", topics.servers]
    subprocess.run(argv, input=b'{"value": null}\n\n', timeout=EXIT_TIMEOUT_S, check=True)
    listed = topics.run()
    assert (listed.returncode, listed.stdout.count(b"\n")) == (0, 1)
    assert b"none of its records has headers of a dead letter" in listed.stderr


def test_records_that_are_too_old_for_their_topic(topics: Topics) -> None:
    topics.fill([topics.first], first_ms=1_000_000_000_000)
    assert b"--new-time" in topics.run("replay").stderr
    ended = topics.run("replay", "--new-time", "--partition", "0")
    assert b"--new-time" not in ended.stderr
    newest = max(record.timestamp for record in topics.records(topics.first))
    assert newest > FIRST_MS


@pytest.mark.one_loop
@BACKENDS
def test_over_librdkafka_each_is_sent_once(topics: Topics, backend: str) -> None:
    """The clients share their memory: a letter that one has sent, the other does not send again."""
    how = ["--client", "librdkafka", "--backend", backend, "-o", "socket.timeout.ms=10000"]
    topics.fill([topics.first] * 6)
    one = topics.run("replay", "1", "1", *how)
    assert (one.returncode, one.stderr) == (0, f"1 record sent ({topics.first}: 1)\n".encode())
    rest = topics.run("replay", *how)
    assert rest.returncode == 0, rest.stderr
    assert rest.stderr.endswith(f"5 records sent ({topics.first}: 5)\n".encode())
    for client in (how, []):
        again = topics.run("replay", *client)
        assert (again.returncode, again.stderr.endswith(b"\n0 records sent\n")) == (0, True)
    assert sorted(topics.committed(topics.first)) == [b"%d" % number for number in range(6)]


def test_one_is_sent_by_its_place_and_once(topics: Topics) -> None:
    topics.fill([topics.first] * 4)
    sent = topics.run("replay", "1", "1")
    assert (sent.returncode, sent.stderr) == (0, f"1 record sent ({topics.first}: 1)\n".encode())
    assert topics.committed(topics.first) == [b"3"]
    again = topics.run("replay", "1", "1")
    assert again.returncode == 1
    assert b"it was sent before" in again.stderr
    assert b"not there" in topics.run("replay", "1", "9").stderr
    assert topics.run("replay").returncode == 0
    assert sorted(topics.committed(topics.first)) == [b"0", b"1", b"2", b"3"]
