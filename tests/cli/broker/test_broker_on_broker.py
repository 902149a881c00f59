"""The command that runs an embedded Kafka until a signal."""

import signal
import socket
from pathlib import Path

import pytest

from sdml_kafka.testing.embedded.ports import choose_ports
from tests.support.child_program import line_of, program
from tests.support.leftovers import leftovers

pytestmark = pytest.mark.broker

BROKER = (
    "from sdml_kafka.cli.broker.arguments import BrokerOptions\n"
    "from sdml_kafka.cli.broker.command import run_broker\n"
    "raise SystemExit(run_broker(BrokerOptions(1, {port})))"
)


def test_the_broker_command_runs_until_a_signal(temp: Path) -> None:
    port = choose_ports(1, None)[0].client
    with program(BROKER.format(port=port), temp) as process:
        assert line_of(process) == f"bootstrap servers: 127.0.0.1:{port}"
        assert "Ctrl-C" in line_of(process)
        assert f"export SDML_KAFKA_BOOTSTRAP=127.0.0.1:{port}" in line_of(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert leftovers(temp) == []


def test_the_broker_command_says_when_its_port_is_taken(temp: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with program(BROKER.format(port=taken), temp) as process:
            assert process.wait(30) == 1
    assert leftovers(temp) == []


def test_port_0_takes_a_free_one(temp: Path) -> None:
    with program(BROKER.format(port=0), temp) as process:
        port = int(line_of(process).removeprefix("bootstrap servers: 127.0.0.1:"))
        socket.create_connection(("127.0.0.1", port)).close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
