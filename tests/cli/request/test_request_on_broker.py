"""`sdml-kafka request` as people run it, on a real Kafka."""

import os
import pty
import signal
import subprocess

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import BACKENDS, EXIT_TIMEOUT_S, PROGRAM, request, serving
from tests.support.kafka_from_outside import unique

pytestmark = [pytest.mark.broker, pytest.mark.timeout(90)]

AT_ONCE_S = 15.0
"""Half of what a request would wait for its reply."""


def test_a_reply_topic_headers_and_a_server_group(embedded_kafka: EmbeddedKafka) -> None:
    topic = unique("serve")
    command = ("sh", "-c", "printf %s $SDML_KAFKA_HEADERS")
    with serving(embedded_kafka, topic, command=command):
        options = ["--header", "lang=en", "--reply-topic", unique("replies"), "--stream"]
        replied = request(embedded_kafka, topic, "", *options)
        assert replied.stdout.endswith(b"\n")  # --stream
        headers = replied.stdout[:-1].split(b"&")
        assert b"lang=en" in headers
        assert f"x-reply-topic={options[3]}".encode() in headers
        alive = request(embedded_kafka, topic, "", "--server-group", f"{topic}-servers")
        assert alive.returncode == 0
    none = request(embedded_kafka, topic, "", "--server-group", unique("nobody"))
    assert none.returncode == 4
    assert b"unavailable" in none.stderr
    assert b"the server answered" not in none.stderr


def test_a_terminal_is_shown_nothing_that_acts_on_it(embedded_kafka: EmbeddedKafka) -> None:
    topic = unique("serve")
    command = ("printf", r"one\n\033[31mtwo\377")
    with serving(embedded_kafka, topic, command=command):
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as shown:
            argv = [PROGRAM, "request", topic, "-", "--bootstrap", embedded_kafka.bootstrap_servers]
            ended = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=theirs, timeout=EXIT_TIMEOUT_S, check=False
            )
            os.close(theirs)
            assert shown.read(1000) == b"one\r\n\\x1b[31mtwo\\xff\r\n"
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
@BACKENDS
def test_a_signal_leaves_a_request_at_once(
    number: signal.Signals, code: int, backend: str, embedded_kafka: EmbeddedKafka
) -> None:
    topic = unique("serve")
    script = "echo begun >&2; exec sleep 60"
    with serving(embedded_kafka, topic, command=("sh", "-c", script)) as server:
        argv = [PROGRAM, "request", topic, "", "--backend", backend]
        argv += ["--bootstrap", embedded_kafka.bootstrap_servers]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
            assert server.stderr is not None
            assert b"begun" in server.stderr.readline()
            asking.send_signal(number)
            out, errors = asking.communicate(timeout=AT_ONCE_S)
    assert (asking.returncode, out, errors) == (code, b"", b"")


def test_a_closed_pipe_ends_a_request(embedded_kafka: EmbeddedKafka) -> None:
    topic = unique("serve")
    script = "echo begun >&2; exec sleep 60"
    with serving(embedded_kafka, topic, command=("sh", "-c", script)) as server:
        argv = [PROGRAM, "request", topic, "", "--bootstrap", embedded_kafka.bootstrap_servers]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
            assert server.stderr is not None
            assert asking.stdout is not None
            assert b"begun" in server.stderr.readline()
            asking.stdout.close()
            assert asking.wait(AT_ONCE_S) == 0
            assert asking.stderr is not None
            assert asking.stderr.read() == b""


@pytest.mark.one_loop
@BACKENDS
def test_no_broker_is_one_line(backend: str) -> None:
    ended = request("127.0.0.1:1", "orders", "hello", "--timeout", "2", "--backend", backend)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"sdml-kafka: request: ")
    assert b"127.0.0.1" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


def test_a_topic_that_is_missing(strict_kafka: EmbeddedKafka) -> None:
    missing = request(strict_kafka, "nowhere", "hello")
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert b"nowhere" in missing.stderr
    assert missing.stderr.count(b"\n") == 1


def test_a_request_that_no_broker_takes(embedded_kafka: EmbeddedKafka) -> None:
    ended = request(embedded_kafka, unique("serve"), "-", stdin=b"x" * 3_000_000)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.count(b"\n") == 1


def test_a_header_that_means_something_else(embedded_kafka: EmbeddedKafka) -> None:
    ended = request(embedded_kafka, unique("serve"), "", "--header", "x-reply-topic=elsewhere")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"elsewhere" in ended.stderr
