"""`sdml-kafka listen` as people run it, on a real Kafka."""

import asyncio
import fcntl
import json
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import BACKENDS, EXIT_TIMEOUT_S, PROGRAM, run_here

pytestmark = pytest.mark.broker

PARTITIONS = 3


@pytest.fixture
def topic(embedded_kafka: EmbeddedKafka) -> str:
    name = f"listen-{uuid4().hex[:8]}"

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=embedded_kafka.bootstrap_servers)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
        finally:
            await admin.close()

    asyncio.run(create())
    return name


def produce(kafka: EmbeddedKafka, topic: str, count: int, size: int = 20) -> None:
    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
            for number in range(count):
                value = f"{number:0{size}}".encode()
                await producer.send(topic, value, partition=number % PARTITIONS)

    asyncio.run(send())


def committed(kafka: EmbeddedKafka, group: str) -> dict[int, int]:
    async def ask() -> dict[int, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(group)
            return {partition.partition: meta.offset for partition, meta in offsets.items()}
        finally:
            await admin.close()

    return asyncio.run(ask())


@contextmanager
def listening(kafka: EmbeddedKafka, topic: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = [PROGRAM, "listen", topic, "--bootstrap", kafka.bootstrap_servers, *options]
    process = subprocess.Popen(argv, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            yield process
        finally:
            process.kill()


def out(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def read_lines(process: subprocess.Popen[bytes], count: int) -> list[dict[str, Any]]:
    return [json.loads(out(process).readline()) for _ in range(count)]


def end(process: subprocess.Popen[bytes]) -> str:
    """Wait for the end of the program and return what it wrote to stderr."""
    _, errors = process.communicate(timeout=EXIT_TIMEOUT_S)
    assert process.returncode == 0, errors
    return errors.decode()


def lines_to_the_end(kafka: EmbeddedKafka, topic: str, *options: str) -> list[dict[str, Any]]:
    """Return what it writes up to the end of the topic."""
    words = ["listen", topic, "--bootstrap", kafka.bootstrap_servers, "--exit-at-end"]
    ended = run_here(*words, *options)
    assert (ended.returncode, ended.stderr) == (0, b"")
    return [json.loads(line) for line in ended.stdout.splitlines()]


@BACKENDS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_commits_what_was_written_and_leaves(
    number: signal.Signals, backend: str, embedded_kafka: EmbeddedKafka, topic: str
) -> None:
    produce(embedded_kafka, topic, 300)
    options = ("--group", f"{topic}-group", "--backend", backend)
    with listening(embedded_kafka, topic, *options) as process:
        lines = read_lines(process, 300)
        process.send_signal(number)
        assert end(process) == ""
    assert sorted(int(line["value"]) for line in lines) == list(range(300))
    assert committed(embedded_kafka, f"{topic}-group") == dict.fromkeys(range(PARTITIONS), 100)


@BACKENDS
def test_a_closed_pipe_ends_it_and_what_was_not_written_is_not_committed(
    backend: str, embedded_kafka: EmbeddedKafka, topic: str
) -> None:
    produce(embedded_kafka, topic, 3000, size=1000)
    options = ("--group", f"{topic}-group", "--backend", backend)
    with listening(embedded_kafka, topic, *options) as process:
        capacity = fcntl.fcntl(out(process), fcntl.F_GETPIPE_SZ)
        read_lines(process, 1)
        out(process).close()
        process.wait(EXIT_TIMEOUT_S)
        assert process.returncode == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    total = sum(committed(embedded_kafka, f"{topic}-group").values())
    assert 1 <= total <= 1 + capacity // 1000


def test_max_takes_so_many_and_the_next_run_goes_on(
    embedded_kafka: EmbeddedKafka, topic: str
) -> None:
    produce(embedded_kafka, topic, 30)
    seen: dict[int, list[int]] = defaultdict(list)
    for _ in range(2):
        options = ("--group", f"{topic}-group", "--max", "7", "--progress")
        with listening(embedded_kafka, topic, *options) as process:
            for line in read_lines(process, 7):
                seen[line["partition"]].append(line["offset"])
            assert out(process).read() == b""
            assert end(process).endswith("7 records written\n")
    assert sum(map(len, seen.values())) == 14
    assert all(offsets == list(range(len(offsets))) for offsets in seen.values())
    left_off = {number: len(offsets) for number, offsets in seen.items()}
    at = committed(embedded_kafka, f"{topic}-group")
    assert {number: offset for number, offset in at.items() if offset} == left_off


def test_no_broker_is_one_line_and_exit_code_2() -> None:
    ended = run_here("listen", "orders", "--bootstrap", "127.0.0.1:1", "--group", "g")
    assert ended.returncode == 2
    assert ended.stdout == b""
    assert ended.stderr.startswith(b"sdml-kafka: listen: ")
    assert b"127.0.0.1" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


def test_a_full_disk_is_one_line_and_exit_code_1(embedded_kafka: EmbeddedKafka, topic: str) -> None:
    produce(embedded_kafka, topic, 3)
    argv = [PROGRAM, "listen", topic, "--group", f"{topic}-group"]
    argv += ["--bootstrap", embedded_kafka.bootstrap_servers]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            argv, stdout=full, stderr=subprocess.PIPE, timeout=EXIT_TIMEOUT_S, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"sdml-kafka: listen: ")
    assert ended.stderr.count(b"\n") == 1
    assert not any(committed(embedded_kafka, f"{topic}-group").values())


@pytest.mark.one_loop
@BACKENDS
@pytest.mark.parametrize(
    "options",
    [
        ("--group", "misspelt"),
        ("--group", "misspelt", "--exit-at-end"),
        ("--offset", "earliest", "--exit-at-end"),
        ("--partition", "1", "--offset", "5"),
    ],
)
def test_a_topic_that_does_not_exist_is_one_line_and_exit_code_2(
    options: tuple[str, ...], backend: str, embedded_kafka: EmbeddedKafka, topic: str
) -> None:
    misspelt = topic.replace("listen", "lisen")
    words = ["listen", misspelt, *options, "--backend", backend]
    ended = run_here(*words, "--bootstrap", embedded_kafka.bootstrap_servers)
    assert ended.returncode == 2
    assert ended.stdout == b""
    line = f"sdml-kafka: listen: there is no topic '{misspelt}' (did you mean '{topic}'?)\n"
    assert ended.stderr.decode() == line


@pytest.mark.one_loop
@BACKENDS
@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (("--offset", "earliest"), range(30)),
        (("--partition", "1", "--offset", "8"), [25, 28]),
        (("--partition", "0", "--partition", "2"), [n for n in range(30) if n % 3 != 1]),
        (("--offset", "latest"), []),
    ],
)
def test_without_a_group_to_the_end(
    options: tuple[str, ...],
    numbers: Sequence[int],
    backend: str,
    embedded_kafka: EmbeddedKafka,
    topic: str,
) -> None:
    produce(embedded_kafka, topic, 30)
    lines = lines_to_the_end(embedded_kafka, topic, *options, "--backend", backend)
    assert sorted(int(line["value"]) for line in lines) == list(numbers)


def test_a_group_to_the_end_twice(embedded_kafka: EmbeddedKafka, topic: str) -> None:
    produce(embedded_kafka, topic, 30)
    for count in (30, 0):
        assert len(lines_to_the_end(embedded_kafka, topic, "--group", f"{topic}-group")) == count


def test_a_partition_that_is_not_there(embedded_kafka: EmbeddedKafka, topic: str) -> None:
    words = ["listen", topic, "--bootstrap", embedded_kafka.bootstrap_servers]
    ended = run_here(*words, "--partition", "3", "--exit-at-end")
    assert ended.returncode == 2
    assert ended.stderr.count(b"\n") == 1
    assert b"--partition 3" in ended.stderr
