"""What is said when the port of a broker is taken, and which ports can be asked for."""

import os
import socket
from contextlib import suppress

import pytest

from sdml_kafka.cli.arguments import parse_arguments
from sdml_kafka.cli.broker.arguments import BrokerOptions
from sdml_kafka.cli.broker.command import run_broker
from sdml_kafka.cli.broker.port_owner import PROC, port_owner
from sdml_kafka.cli.main import main

shows_owners = pytest.mark.skipif(not (PROC / "net" / "tcp").exists(), reason="Linux only")


def test_a_taken_port_is_named_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert run_broker(BrokerOptions(1, taken)) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"sdml-kafka: broker: port {taken} on 127.0.0.1 is taken")
    assert "--port 0" in shown
    assert shown.count("\n") == 1


@shows_owners
def test_the_program_that_has_the_port_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with _second_of_two_ports() as other:
        assert run_broker(BrokerOptions(2, other.getsockname()[1] - 1)) == 1
    assert f"(process {os.getpid()})" in capsys.readouterr().err


def _second_of_two_ports() -> socket.socket:
    """Return a server on a port before which there is a free one."""
    while True:
        second = socket.create_server(("127.0.0.1", 0))
        with suppress(OSError):
            socket.create_server(("127.0.0.1", second.getsockname()[1] - 1)).close()
            return second
        second.close()


def test_nobody_has_a_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    assert port_owner(free) is None


def test_port_0_takes_a_free_one() -> None:
    assert parse_arguments(["broker", "--port", "0"]) == BrokerOptions(1, 0)


def test_more_nodes_than_ports(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["broker", "--port", "65534", "--nodes", "3"])
    assert exit_.value.code == 2
    assert "--port 65534: the last of 3 nodes" in capsys.readouterr().err
