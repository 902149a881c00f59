"""`sdml-kafka request` and `serve` as people run them, on the real Kafka."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import unique

pytestmark = [pytest.mark.broker, pytest.mark.timeout(90)]

PROGRAM = str(Path(sys.executable).with_name("sdml-kafka"))
PATIENCE_S = 30.0
AT_ONCE_S = 15.0
"""Half of what a request would wait for its reply."""
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
SCRIPT = """
read what
case $what in
    fail) echo 'such a \033[31mpity' >&2; exit 3;;
    sleep) exec sleep 60;;
    *) printf '%s for %s' "$what" "$SDML_KAFKA_KEY";;
esac
"""


def request(
    kafka: EmbeddedKafka | str, topic: str, value: str, *options: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    bootstrap = kafka if isinstance(kafka, str) else kafka.bootstrap_servers
    return subprocess.run(
        [PROGRAM, "request", topic, value, "--bootstrap", bootstrap, *options],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )


@contextmanager
def serving(
    kafka: EmbeddedKafka, topic: str, *options: str, command: tuple[str, ...] = ("sh", "-c", SCRIPT)
) -> Iterator[subprocess.Popen[bytes]]:
    argv = [PROGRAM, "serve", topic, "--bootstrap", kafka.bootstrap_servers, *options]
    argv += ["--group", f"{topic}-servers", "--", *command]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@BACKENDS
def test_a_reply_an_error_a_timeout_and_a_signal(
    backend: str, embedded_kafka: EmbeddedKafka
) -> None:
    topic, on = unique("serve"), ("--backend", backend)
    with serving(embedded_kafka, topic, *on) as server:
        replied = request(embedded_kafka, topic, "-", "--key", "ann", *on, stdin=b"hi\n")
        assert (replied.returncode, replied.stdout, replied.stderr) == (0, b"hi for ann", b"")

        failed = request(embedded_kafka, topic, "fail", *on)
        assert (failed.returncode, failed.stdout) == (4, b"")
        said = b"sdml-kafka: request: the server answered internal: exit code 3\n"
        assert failed.stderr == said

        late = request(embedded_kafka, topic, "sleep", "--timeout", "6", *on)  # to start is in it
        assert (late.returncode, late.stdout) == (3, b"")
        assert late.stderr.startswith(b"sdml-kafka: request: ")
        assert late.stderr.count(b"\n") == 1

        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=PATIENCE_S)
    assert server.returncode == 0
    said, *logged = errors.splitlines()
    assert said.partition(b"]: ")[2] == b"such a \\x1b[31mpity"
    # The last one's reply topic may be gone by the time it is answered, which is told as well.
    assert len(logged) <= 1
    assert all(b"does not exist" in line for line in logged)


def test_max_ends_a_server(embedded_kafka: EmbeddedKafka) -> None:
    topic = unique("serve")
    with serving(embedded_kafka, topic, "--max", "2", command=("cat",)) as server:
        for value in ("one", "two"):
            assert request(embedded_kafka, topic, value).stdout == value.encode()
        assert server.wait(PATIENCE_S) == 0


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
                argv, stdin=subprocess.DEVNULL, stdout=theirs, timeout=PATIENCE_S, check=False
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


@BACKENDS
def test_nobody_there_is_one_line(backend: str) -> None:
    ended = request("127.0.0.1:1", "orders", "hello", "--timeout", "2", "--backend", backend)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"sdml-kafka: request: ")
    assert b"127.0.0.1" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@BACKENDS
def test_a_server_without_a_broker_cannot_begin(backend: str) -> None:
    argv = [PROGRAM, "serve", "orders", "--bootstrap", "127.0.0.1:1", "--group", "g"]
    argv += ["--backend", backend, "--", "cat"]
    ended = subprocess.run(argv, capture_output=True, timeout=PATIENCE_S, check=False)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"sdml-kafka: serve: ")
    assert ended.stderr.count(b"\n") == 1


def test_a_topic_that_is_missing() -> None:
    with EmbeddedKafka(properties={"auto.create.topics.enable": "false"}) as kafka:
        missing = request(kafka, "nowhere", "hello")
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
