"""`sdml-kafka asyncapi` writes the document of a program that it imports."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from sdml_kafka.cli.main import main
from tests.support.asyncapi_schema import check_document
from tests.support.command_line import EXIT_TIMEOUT_S, PROGRAM

SERVICE = """
from sdml_kafka import KafkaListener, KafkaProducer, parse_json

def listener_of(group):
    spec = {"topics": ["orders"], "type": dict, "parser": parse_json}
    return KafkaListener([spec], bootstrap_servers="localhost:1", group_id=group)

listener, nothing, text = listener_of("billing"), [], "text"
both = [listener, KafkaProducer(bootstrap_servers="localhost:1")]

async def make():
    return listener_of("made"), listener_of("made too")

def broken():
    raise ValueError("no such thing")

def ending():
    raise SystemExit
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    (folder / "service.py").write_text(SERVICE)
    (folder / "wrong.py").write_text("1 / 0")
    (folder / "lacking.py").write_text("import there_is_none")
    (folder / "ending.py").write_text("raise SystemExit(0)")
    return folder


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run the command in the folder of the programs, whose modules are forgotten then."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    known = set(sys.modules)

    def run(*arguments: str) -> Done:
        code = main(["asyncapi", *arguments])
        return Done(code, *capsys.readouterr())

    yield run
    for name in set(sys.modules) - known:
        if name in ("service", "wrong", "lacking", "ending"):
            del sys.modules[name]


@pytest.mark.parametrize("program", ["service", "service:listener", "service:both"])
def test_the_document_goes_to_stdout(run: Run, program: str) -> None:
    done = run(program)
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    check_document(document)
    assert document["info"] == {"title": "service", "version": "1.0.0"}
    assert list(document["channels"]) == ["orders"]


def test_a_function_makes_the_objects_and_a_file_takes_yaml(run: Run, folder: Path) -> None:
    texts = "--title", "Shop", "--api-version", "2.1", "--description", "Sells things"
    done = run("service:make", "--yaml", "-o", "api.yaml", *texts)
    assert done == (0, "", "")
    document = yaml.safe_load((folder / "api.yaml").read_text())
    check_document(document)
    assert document["info"] == {"title": "Shop", "version": "2.1", "description": "Sells things"}
    groups = [
        each["bindings"]["kafka"]["groupId"]["enum"] for each in document["operations"].values()
    ]
    assert groups == [["made"], ["made too"]]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere"], "there is no module 'nowhere'"),
        (["nowhere.py"], "give MODULE or MODULE:NAME: did you mean nowhere?"),
        (["wrong"], "wrong cannot be imported: ZeroDivisionError"),
        (["lacking"], "lacking cannot be imported: No module named 'there_is_none'"),
        (["service:other"], "service has no 'other'"),
        (["service:text"], "service:text is a str; it has to be a listener"),
        (["service:nothing"], "service:nothing is a list; it has to be a listener"),
        (["service:broken"], "service:broken() has failed: ValueError: no such thing"),
        (["ending"], "ending cannot be imported: SystemExit: 0"),
        (["service:ending"], "service:ending() has failed: SystemExit"),
        (["json"], "json holds no listener"),
        (["service:listener", "-o", "no/such/folder"], "no/such/folder cannot be written"),
    ],
)
def test_what_cannot_be_described_is_one_line(run: Run, arguments: list[str], why: str) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert why in done.err
    assert len(done.err.splitlines()) == 1


def test_a_pipe_that_is_closed_is_no_failure(folder: Path) -> None:
    argv = [PROGRAM, "asyncapi", "service"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdout=pipe, stderr=pipe, cwd=folder) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(EXIT_TIMEOUT_S) == 0


def test_a_stdout_that_is_closed_is_said(folder: Path) -> None:
    script = 'exec "$0" asyncapi service >&-'
    done = subprocess.run(
        ["sh", "-c", script, PROGRAM], capture_output=True, cwd=folder, check=False
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"stdout is closed" in done.stderr
