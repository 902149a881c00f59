import sys
from importlib.metadata import version

import pytest

from sdml_kafka.cli import main
from sdml_kafka.cli._arguments import BrokerOptions, DemoOptions, ListenOptions, parse_arguments

LISTEN = ["listen", "orders", "--bootstrap", "a:9092", "--group", "g"]


def test_listen_defaults() -> None:
    assert parse_arguments(LISTEN) == ListenOptions(
        topics=("orders",),
        bootstrap="a:9092",
        group="g",
        start="earliest",
        maximum=None,
        progress=False,
        backend="asyncio",
    )


def test_listen_with_everything() -> None:
    argv = ["listen", "a", "b.c", "--bootstrap", "a:1,[::1]:2", "--group", "g", "--from", "latest"]
    argv += ["--max", "10", "--progress", "--backend", "trio"]
    assert parse_arguments(argv) == ListenOptions(
        ("a", "b.c"), "a:1,[::1]:2", "g", "latest", 10, True, "trio"
    )


def test_demo_and_broker() -> None:
    assert parse_arguments(["demo"]) == DemoOptions(None, 20.0, "asyncio")
    argv = ["demo", "--bootstrap", "a:1", "--seconds", "8.5", "--backend", "trio"]
    assert parse_arguments(argv) == DemoOptions("a:1", 8.5, "trio")
    assert parse_arguments(["broker"]) == BrokerOptions(1, 9092)
    assert parse_arguments(["broker", "--nodes", "3", "--port", "1"]) == BrokerOptions(3, 1)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "COMMAND"),
        (["listen", "orders", "--group", "g"], "--bootstrap"),
        (["listen", "orders", "--bootstrap", "a:1"], "--group"),
        (["listen", "a b", *LISTEN[2:]], "cannot be a topic"),
        (["listen", "..", *LISTEN[2:]], "cannot be a topic"),
        ([*LISTEN, "--max", "0"], "1 or more"),
        ([*LISTEN, "--group", " "], "needs a name"),
        ([*LISTEN, "--bootstrap", "kafka"], "HOST:PORT"),
        ([*LISTEN, "--bootstrap", "a:1,b:99999"], "'b:99999'"),
        (["demo", "--seconds", "7"], "at least 8"),
        (["demo", "--seconds", "nan"], "at least 8"),
        (["demo", "--seconds", "soon"], "not a number"),
        (["demo", "--backend", "gevent"], "gevent"),
        (["broker", "--port", "0"], "not a port"),
    ],
)
def test_what_is_wrong_is_said_with_exit_code_2(
    argv: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert text in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"sdml-kafka {version('sdml-kafka-client')}\n"


@pytest.mark.parametrize("command", ["demo", "listen", "broker"])
def test_help_has_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert f"sdml-kafka {command}" in shown
    assert "exit codes:" in shown


@pytest.mark.parametrize(
    ("missing", "argv", "extra"),
    [
        ("rich", ["demo"], "cli"),
        ("trio", ["demo", "--backend", "trio"], "trio"),
        ("trio", [*LISTEN, "--backend", "trio"], "trio"),
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
