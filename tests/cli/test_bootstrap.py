"""Where a command takes the address from: what is typed, the file, the environment."""

from pathlib import Path

import pytest

from sdml_kafka.cli.arguments import parse_arguments
from sdml_kafka.cli.demo.arguments import DemoOptions
from sdml_kafka.cli.listen.arguments import ListenOptions
from sdml_kafka.cli.main import main
from sdml_kafka.cli.options import BOOTSTRAP
from sdml_kafka.cli.request.arguments import RequestOptions
from sdml_kafka.cli.serve.arguments import ServeOptions

COMMANDS = (
    ["listen", "orders", "--group", "g"],
    ["request", "orders", "hello"],
    ["serve", "orders", "--group", "g", "--", "cat"],
)
for_each_command = pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: argv[0])


def address(*argv: str) -> str:
    options = parse_arguments(argv)
    assert isinstance(options, ListenOptions | RequestOptions | ServeOptions)
    return options.bootstrap


@for_each_command
def test_the_environment_is_the_default(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BOOTSTRAP, "a:1,b:2")
    assert address(*argv) == "a:1,b:2"
    assert address(*argv[:2], "--bootstrap", "c:3", *argv[2:]) == "c:3"


@for_each_command
def test_a_file_comes_before_the_environment(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(BOOTSTRAP, "a:1")
    (tmp_path / "client.toml").write_text('bootstrap_servers = "b:2"')
    config = ("--config", str(tmp_path / "client.toml"))
    assert address(*argv[:2], *config, *argv[2:]) == "b:2"
    assert address(*argv[:2], *config, "--bootstrap", "c:3", *argv[2:]) == "c:3"


@for_each_command
@pytest.mark.parametrize("text", [None, ""])
def test_without_any_the_variable_is_named(
    argv: list[str],
    text: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(BOOTSTRAP, raising=False)
    if text is not None:
        monkeypatch.setenv(BOOTSTRAP, text)
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    shown = capsys.readouterr().err
    assert "--bootstrap" in shown
    assert BOOTSTRAP in shown


def test_a_wrong_address_names_where_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(BOOTSTRAP, "kafka")
    with pytest.raises(SystemExit):
        main(COMMANDS[0])
    assert f"{BOOTSTRAP}: 'kafka' is not HOST:PORT" in capsys.readouterr().err
    (tmp_path / "client.toml").write_text('bootstrap_servers = "kafka"')
    with pytest.raises(SystemExit):
        main([*COMMANDS[0], "--config", str(tmp_path / "client.toml")])
    assert "--config: 'kafka' is not HOST:PORT" in capsys.readouterr().err


@for_each_command
def test_help_names_the_variable(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([argv[0], "--help"])
    assert BOOTSTRAP in capsys.readouterr().out


def test_the_demo_loads_no_broker_that_was_not_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BOOTSTRAP, "a:1")
    assert parse_arguments(["demo"]) == DemoOptions(None, 20.0, "asyncio")
