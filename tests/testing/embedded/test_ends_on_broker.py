"""However the program ends, its Kafka ends with it."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError
from sdml_kafka.testing.embedded.ports import choose_ports
from tests.support.leftovers import jvms, leftovers, wait_until

pytestmark = pytest.mark.broker

END_S = 6.0
"""Half a second may pass before the end is seen, and a JVM takes its time to go. Less than the fork
below lives."""

HOLD = """
import sys
from sdml_kafka.testing import EmbeddedKafka
with EmbeddedKafka() as kafka:
    {then}
    print("ready", flush=True)
    sys.stdin.read()
"""
BROKER = (
    "from sdml_kafka.cli.broker.command import run_broker; raise SystemExit(run_broker(1, {port}))"
)


@contextmanager
def program(code: str, temp: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={"TMPDIR": str(temp), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    "then",
    ["kafka.freeze()", "import os, time; os.fork() or time.sleep(9)"],
    ids=["frozen", "forked"],
)
def test_a_killed_program_leaves_no_kafka(temp: Path, then: str) -> None:
    with program(HOLD.format(then=then), temp) as process:
        assert line_of(process) == "ready"
        assert len(jvms(temp)) == 1
        process.kill()
        wait_until(lambda: not leftovers(temp), within_s=END_S)


def test_killed_while_it_starts_it_leaves_no_kafka(temp: Path) -> None:
    with program(HOLD.format(then="pass"), temp) as process:
        wait_until(lambda: jvms(temp), within_s=60)
        process.kill()
        wait_until(lambda: not leftovers(temp), within_s=END_S)


def test_when_the_reaper_is_killed_the_nodes_go_and_the_error_says_so(temp: Path) -> None:
    with EmbeddedKafka() as kafka:
        reaper = psutil.Process(jvms(temp)[0]).parent()
        assert reaper is not None
        reaper.kill()
        wait_until(lambda: not jvms(temp), within_s=END_S)
        with pytest.raises(EmbeddedKafkaError, match="start a new one"):
            kafka.restart()
    assert leftovers(temp) == []


def test_the_broker_command_runs_until_a_signal(temp: Path) -> None:
    port = choose_ports(1, None)[0].client
    with program(BROKER.format(port=port), temp) as process:
        assert line_of(process) == f"bootstrap servers: 127.0.0.1:{port}"
        assert "Ctrl-C" in line_of(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert leftovers(temp) == []


def test_the_broker_command_says_when_its_port_is_taken(temp: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with program(BROKER.format(port=taken), temp) as process:
            assert process.wait(30) == 1
    assert leftovers(temp) == []
