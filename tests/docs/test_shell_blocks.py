"""The commands that the README and docs/ show are taken by what they name."""

import re
import tomllib
from pathlib import Path

import pytest

from sdml_kafka.cli.arguments import parse_arguments
from tests.support.page_blocks import PAGES, ROOT, blocks_of
from tests.support.shell_blocks import commands_of

COMMANDS = [
    (f"{block.name} {' '.join(command)[:60]}", command)
    for page in PAGES
    for block in blocks_of(page)
    if block.language in ("bash", "sh", "console")
    for command in commands_of(block.code)
]
OURS = [  # after `uv run`, too
    pytest.param(words[words.index("sdml-kafka") + 1 :], id=name)
    for name, words in COMMANDS
    if "sdml-kafka" in words[:3]
]
IN_TEXT = re.compile(r"(?<!`)`(sdml-kafka [a-z-]+ [^`]+)`(?!`)")
EXTRA = re.compile(r"sdml-kafka-client\[([\w,-]+)\]")


@pytest.fixture(autouse=True)
def at_a_readers_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set the variables, and write the file, that the pages speak of."""
    monkeypatch.setenv("SDML_KAFKA_BOOTSTRAP", "localhost:9092")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "client.toml").write_text("")


@pytest.mark.parametrize("arguments", OURS)
def test_the_command_line_takes_a_command(arguments: list[str]) -> None:
    parse_arguments(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_command_line_takes_the_commands_in_the_text(page: Path) -> None:
    for command in IN_TEXT.findall(page.read_text()):
        [words] = commands_of(command)
        if "..." not in words:
            parse_arguments(words[1:])


def test_each_extra_that_is_named_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {
        extra
        for page in PAGES
        for extras in EXTRA.findall(page.read_text())
        for extra in extras.split(",")
    }
    assert named <= project["optional-dependencies"].keys()
    assert named
