"""Commands that log in with what a file says, on a Kafka that asks for a user and a password."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import EXIT_TIMEOUT_S, PROGRAM, run_here
from tests.support.guarded_kafka import PASSWORD, login
from tests.support.kafka_from_outside import create_topic, produce, unique

pytestmark = pytest.mark.broker


@pytest.fixture
def topic(guarded_kafka: EmbeddedKafka) -> str:
    servers = guarded_kafka.bootstrap_servers
    return asyncio.run(create_topic(servers, unique("topic"), 1, login=login()))


def config(folder: Path, kafka: EmbeddedKafka, password: str = PASSWORD) -> str:
    options = {"bootstrap_servers": kafka.bootstrap_servers, **login(password=password)}
    options["compression_type"] = "gzip"  # which only a producer takes
    path = folder / "client.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()))
    path.chmod(0o600)
    return str(path)


def listen(topic: str, file: str) -> subprocess.CompletedProcess[bytes]:
    return run_here("listen", topic, "--config", file, "--group", "g", "--max", "1")


def test_listen_logs_in(guarded_kafka: EmbeddedKafka, topic: str, tmp_path: Path) -> None:
    asyncio.run(produce(guarded_kafka.bootstrap_servers, topic, ["a"], login=login()))
    ended = listen(topic, config(tmp_path, guarded_kafka))
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["value"] == "a"
    assert ended.stderr == b""


def test_a_wrong_password_is_one_line_that_does_not_show_it(
    guarded_kafka: EmbeddedKafka, topic: str, tmp_path: Path
) -> None:
    ended = listen(topic, config(tmp_path, guarded_kafka, password="not-the-secret"))
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"sdml-kafka: listen: ")
    assert ended.stderr.count(b"\n") == 1
    assert b"not-the-secret" not in ended.stderr


def test_serve_and_request_log_in(guarded_kafka: EmbeddedKafka, topic: str, tmp_path: Path) -> None:
    file = config(tmp_path, guarded_kafka)
    argv = [PROGRAM, "serve", topic, "--config", file, "--group", "g", "--max", "1"]
    with subprocess.Popen([*argv, "--", "tr", "a-z", "A-Z"], stderr=subprocess.PIPE) as server:
        try:
            ended = run_here("request", topic, "hello", "--config", file)
            assert ended.returncode == 0, ended.stderr
            assert ended.stdout == b"HELLO"
            assert server.wait(EXIT_TIMEOUT_S) == 0
        finally:
            server.kill()
