"""What can be typed behind `sdml-kafka doctor`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sdml_kafka.cli.arguments import parse_arguments
from sdml_kafka.cli.doctor.arguments import DoctorOptions
from sdml_kafka.cli.doctor.command import addresses_of
from sdml_kafka.cli.main import main

BOOTSTRAP = ["--bootstrap", "a:9092"]


def test_the_defaults() -> None:
    options = parse_arguments(["doctor", *BOOTSTRAP])
    assert options == DoctorOptions(topics=(), bootstrap="a:9092", group=None)


def test_all_options() -> None:
    argv = ["doctor", "orders", "orders", "bills", *BOOTSTRAP, "--group", "g", "--json"]
    options = parse_arguments([*argv, "--timeout", "1", "--watch", "0", "--backend", "trio"])
    assert options == DoctorOptions(
        topics=("orders", "bills"),
        bootstrap="a:9092",
        group="g",
        writes_json=True,
        timeout_s=1.0,
        watch_s=0.0,
        backend="trio",
    )


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "no Kafka to connect to"),
        ([*BOOTSTRAP, "--timeout", "0"], "at least 0.1"),
        ([*BOOTSTRAP, "--watch", "-1"], "at least 0"),
        ([*BOOTSTRAP, "a/b"], "cannot be a topic"),
        ([*BOOTSTRAP, "--client", "librdkafka"], "leave --client out"),
    ],
)
def test_wrong_arguments(argv: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["doctor", *argv])
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_options_that_cannot_work_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *BOOTSTRAP, "-o", "security_protocol=TLS"]) == 2
    shown = capsys.readouterr().err
    assert "security_protocol is" in shown
    assert shown.count("\n") == 1


def test_addresses() -> None:
    assert addresses_of("a:1, [::1]:9092,b:2,a:1") == (("a", 1), ("::1", 9092), ("b", 2))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_time_outs_that_contradict_each_other_are_a_finding(tmp_path: Path, backend: str) -> None:
    config = tmp_path / "kafka.toml"
    config.write_text("session_timeout_ms = 5000\nheartbeat_interval_ms = 6000\n")
    where = ["--bootstrap", "127.0.0.1:1", "--config", str(config), "--backend", backend]
    ended = subprocess.run(
        [sys.executable, "-m", "sdml_kafka", "doctor", *where, "--json"],
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, b"")
    found = {each["code"] for each in json.loads(ended.stdout)["findings"]}
    assert {"heartbeats-refused", "bootstrap-unreachable"} <= found
