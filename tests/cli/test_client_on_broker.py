"""Commands over librdkafka."""

import asyncio
import json
import subprocess

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import EXIT_TIMEOUT_S, PROGRAM
from tests.support.kafka_from_outside import create_topic, unique

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("backend", ["trio"])
def test_lines_are_sent_and_read(embedded_kafka: EmbeddedKafka, backend: str) -> None:
    servers = embedded_kafka.bootstrap_servers
    topic = asyncio.run(create_topic(servers, unique("topic"), 2))
    how = ["--bootstrap", servers, "--client", "librdkafka", "--backend", backend]
    how += ["-o", "socket.timeout.ms=10000"]
    sent = run("send", topic, *how, "-o", "linger.ms=5", stdin=b"a\nb\n")
    assert (sent.returncode, sent.stderr) == (0, b"")
    listen = "listen", topic, "--group", unique("group"), "-o", "fetch.wait.max.ms=50"
    read = run(*listen, "--max", "2", *how)
    assert (read.returncode, read.stderr) == (0, b"")
    assert sorted(json.loads(line)["value"] for line in read.stdout.splitlines()) == ["a", "b"]
    read = run(*listen, "--exit-at-end", *how)  # the group has committed all
    assert (read.returncode, read.stdout, read.stderr) == (0, b"", b"")
    read = run("listen", topic, "--offset", "earliest", "--exit-at-end", *how)
    assert (read.returncode, len(read.stdout.splitlines()), read.stderr) == (0, 2, b"")


@pytest.mark.parametrize("backend", ["trio"])
def test_calls_are_made_and_answered(embedded_kafka: EmbeddedKafka, backend: str) -> None:
    servers = embedded_kafka.bootstrap_servers
    topic = asyncio.run(create_topic(servers, unique("topic"), 1))
    how = ["--bootstrap", servers, "--client", "librdkafka", "--backend", backend]
    how += ["-o", "linger.ms=5", "-o", "fetch.wait.max.ms=50"]
    serve = [PROGRAM, "serve", topic, *how, "--group", unique("group"), "--max", "1"]
    with subprocess.Popen([*serve, "--", "tr", "a-z", "A-Z"], stderr=subprocess.PIPE) as server:
        try:
            asked = run("request", topic, "hello", *how)
            assert (asked.returncode, asked.stdout, asked.stderr) == (0, b"HELLO", b"")
            assert server.wait(EXIT_TIMEOUT_S) == 0
        finally:
            server.kill()


def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [PROGRAM, *words]
    return subprocess.run(
        command, input=stdin, capture_output=True, timeout=EXIT_TIMEOUT_S, check=False
    )
