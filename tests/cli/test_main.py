"""What keeps a command from running is one line on stderr; `--help` is fast."""

import subprocess
import sys

import pytest

from sdml_kafka.cli.main import main

LISTEN = ["listen", "orders", "--bootstrap", "a:9092", "--group", "g"]
REQUEST = ["request", "orders", "hello", "--bootstrap", "a:9092"]
SERVE = ["serve", "orders", "--bootstrap", "a:9092", "--group", "g"]


@pytest.mark.parametrize(
    ("missing", "argv", "extra"),
    [
        ("rich", ["demo"], "cli"),
        ("trio", ["demo", "--backend", "trio"], "trio"),
        ("trio", [*LISTEN, "--backend", "trio"], "trio"),
        ("trio", [*REQUEST, "--backend", "trio"], "trio"),
        ("trio", [*SERVE, "--backend", "trio", "--", "cat"], "trio"),
    ],
)
def test_a_missing_extra_is_named(
    missing: str,
    argv: list[str],
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(argv) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("sdml-kafka: ")
    assert f'pip install "sdml-kafka-client[{extra}]"' in shown
    assert shown.count("\n") == 1


def test_a_program_that_is_not_there_is_named_before_anything_is_connected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*SERVE, "--", "no-such-program"]) == 2
    shown = capsys.readouterr().err
    assert shown == "sdml-kafka: serve: there is no program 'no-such-program' that can be run\n"


def test_help_loads_no_kafka_client_and_no_event_loop() -> None:
    script = """
import sys
from sdml_kafka.cli.main import main
try:
    main(["listen", "--help"])
except SystemExit:
    heavy = {"aiokafka", "anyio", "asyncio", "rich", "trio"} & set(sys.modules)
    sys.exit(repr(heavy) if heavy else 0)
"""
    subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, check=True)


def test_the_package_is_a_program() -> None:
    argv = [sys.executable, "-m", "sdml_kafka", "--version"]
    shown = subprocess.run(argv, capture_output=True, check=True).stdout
    assert shown.startswith(b"sdml-kafka ")
