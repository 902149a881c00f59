"""`sdml-kafka send` as people run it, on a real Kafka."""

import asyncio
import json
import signal
import subprocess

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import BACKENDS, EXIT_TIMEOUT_S, PROGRAM, run_here
from tests.support.kafka_from_outside import create_topic, unique

pytestmark = [pytest.mark.broker, pytest.mark.timeout(90)]


@pytest.fixture
def topic(embedded_kafka: EmbeddedKafka) -> str:
    return asyncio.run(create_topic(embedded_kafka.bootstrap_servers, unique("send"), 3))


def send(
    kafka: EmbeddedKafka | str, topic: str, stdin: bytes, *options: str
) -> subprocess.CompletedProcess[bytes]:
    bootstrap = kafka if isinstance(kafka, str) else kafka.bootstrap_servers
    argv = [PROGRAM, "send", topic, "--bootstrap", bootstrap, *options]
    return subprocess.run(
        argv, input=stdin, capture_output=True, timeout=EXIT_TIMEOUT_S, check=False
    )


def written(kafka: EmbeddedKafka, topic: str) -> bytes:
    words = ["listen", topic, "--bootstrap", kafka.bootstrap_servers]
    ended = run_here(*words, "--offset", "earliest", "--exit-at-end")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@BACKENDS
def test_lines_are_sent_in_order(embedded_kafka: EmbeddedKafka, topic: str, backend: str) -> None:
    lines = [b"%d" % number for number in range(20_000)]
    options = ["--key", "k", "--header", "a=1", "--progress", "--backend", backend]
    ended = send(embedded_kafka, topic, b"\n".join(lines), *options)
    assert (ended.returncode, ended.stdout) == (0, b"")
    assert ended.stderr.endswith(b"20,000 records sent\n")
    records = [json.loads(line) for line in written(embedded_kafka, topic).splitlines()]
    assert [record["value"].encode() for record in records] == lines
    assert len({record["partition"] for record in records}) == 1
    assert records[0]["key"] == "k"
    assert records[0]["headers"] == [["a", "1"]]


def test_what_listen_writes_can_be_sent(embedded_kafka: EmbeddedKafka, topic: str) -> None:
    line = b'{"value": {"base64": "/wA="}, "key": "k", "headers": {"h": "\\n"}, "partition": 2}\n'
    assert send(embedded_kafka, topic, line, "--json").returncode == 0
    first = written(embedded_kafka, topic)
    assert send(embedded_kafka, topic, first, "--json").returncode == 0
    one, other = map(json.loads, written(embedded_kafka, topic).splitlines())
    assert one["partition"] == 2
    for name in ("value", "key", "headers", "partition"):
        assert one[name] == other[name]


@pytest.mark.one_loop
@BACKENDS
def test_a_wrong_line(embedded_kafka: EmbeddedKafka, topic: str, backend: str) -> None:
    lines = b'{"value": "a"}\n{"value": "b"}\n{"value": \x1b\n{"value": "d"}\n'
    ended = send(embedded_kafka, topic, lines, "--json", "--backend", backend)
    assert ended.returncode == 2
    said, count = ended.stderr.splitlines()
    assert said.startswith(b"sdml-kafka: send: line 3: ")
    assert count == b"2 records sent"
    assert written(embedded_kafka, topic).count(b"\n") == 2


def test_a_partition_that_is_not_there(embedded_kafka: EmbeddedKafka, topic: str) -> None:
    ended = send(embedded_kafka, topic, b'{"value": "a", "partition": 3}\n', "--json")
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"sdml-kafka: send: line 1: ")


def test_a_record_that_is_too_large(embedded_kafka: EmbeddedKafka, topic: str) -> None:
    ended = send(embedded_kafka, topic, b"a\n" + b"x" * 3_000_000)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"sdml-kafka: send: line 2: ")


@pytest.mark.one_loop
@BACKENDS
def test_no_broker_is_one_line(backend: str) -> None:
    ended = send("127.0.0.1:1", "orders", b"a", "--backend", backend)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"sdml-kafka: send: ")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
@BACKENDS
def test_a_signal_while_stdin_is_silent(
    embedded_kafka: EmbeddedKafka, topic: str, backend: str, number: signal.Signals, code: int
) -> None:
    argv = [PROGRAM, "send", topic, "--bootstrap", embedded_kafka.bootstrap_servers]
    with subprocess.Popen(
        [*argv, "--backend", backend], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as sending:
        assert sending.stdin is not None
        sending.stdin.write(b"a\nhalf of a line")
        sending.stdin.flush()
        while not written(embedded_kafka, topic):
            pass
        sending.send_signal(number)
        assert sending.wait(15) == code
        assert sending.stderr is not None
        assert sending.stderr.read() == b"1 record sent\n"
    assert written(embedded_kafka, topic).count(b"\n") == 1


def test_a_topic_that_is_missing(strict_kafka: EmbeddedKafka) -> None:
    ended = send(strict_kafka, "nowhere", b"a\n")
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"sdml-kafka: send: line 1: ")
    assert b"nowhere" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.one_loop
@BACKENDS
def test_a_broker_that_is_away_for_a_while(mortal_kafka: EmbeddedKafka, backend: str) -> None:
    topic = asyncio.run(create_topic(mortal_kafka.bootstrap_servers, unique("send"), 1))
    argv = [PROGRAM, "send", topic, "--bootstrap", mortal_kafka.bootstrap_servers]
    with subprocess.Popen(
        [*argv, "--backend", backend], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as sending:
        assert sending.stdin is not None
        assert sending.stderr is not None
        sending.stdin.write(b"a\n")
        sending.stdin.flush()
        while not written(mortal_kafka, topic):
            pass
        mortal_kafka.kill()
        sending.stdin.write(b"b\n" * 1000)
        sending.stdin.flush()
        assert sending.stderr.readline() == b"no broker answers; still trying\n"
        mortal_kafka.restart()
        sending.stdin.close()
        assert sending.wait(EXIT_TIMEOUT_S) == 0
    assert written(mortal_kafka, topic).count(b"\n") == 1001
