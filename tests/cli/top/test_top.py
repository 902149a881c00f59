"""`sdml-kafka top` as a program, on what answers over HTTP."""

import json
import math
import os
import subprocess
from typing import Any

import anyio
import pytest

from sdml_kafka.cli.arguments import parse_arguments
from sdml_kafka.cli.top import bounded_http
from sdml_kafka.cli.top.arguments import TopOptions
from sdml_kafka.cli.top.fetching import NoAnswer, fetch, read
from sdml_kafka.observability import status_json
from tests.support.command_line import EXIT_TIMEOUT_S, PROGRAM
from tests.support.listener_on_twin import broker_with, listener_on
from tests.support.status_over_http import answering

pytestmark = pytest.mark.timeout(60)


def top(url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONIOENCODING": "utf-8", "COLUMNS": "120", "no_proxy": "127.0.0.1"}
    environment |= variables
    return subprocess.run(
        [PROGRAM, "top", url],
        capture_output=True,
        text=True,
        timeout=EXIT_TIMEOUT_S,
        env=environment,
        check=False,
    )


def document() -> dict[str, Any]:
    listener = listener_on(broker_with())
    written: dict[str, Any] = json.loads(json.dumps(status_json(listener)))
    return written


@pytest.mark.anyio
async def test_a_pipe_gets_one_picture() -> None:
    with answering(json.dumps(document()).encode()) as url:
        done = top(url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "live, NOT READY" in done.stdout
    assert "! new: the listener has not been entered" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_program_that_serves_something_else_is_said() -> None:
    with answering(b"", status=503) as url:
        done = top(url)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{url}/status.json answers 503: is observability.app served there?" in done.stderr


def test_nobody_there_is_said() -> None:
    with answering(b"") as url:
        pass
    done = top(url)
    assert done.returncode == 1
    assert "does not answer: [Errno 111] Connection refused" in done.stderr


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"version": 2}, "another version"),
        ({"objects": [1]}, "not the status"),
        ({"at": "now"}, "not the status"),
        ({"live": None}, "not the status"),
    ],
)
async def test_what_is_no_status_is_refused(change: dict[str, Any], error: str) -> None:
    with pytest.raises(NoAnswer, match=error):
        read("http://here", json.dumps(document() | change).encode())


@pytest.mark.parametrize("body", [b"", b"[1]", b"\xff", b"[" * 100_000, b"{}", b"null"])
def test_hostile_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(NoAnswer):
        read("http://here", body)


@pytest.mark.anyio
@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf, 1e300, 10**400, -250_000_000_000])
async def test_times_that_no_clock_has_are_refused(at: float) -> None:
    with pytest.raises(NoAnswer, match="not the status"):
        read("http://here", json.dumps(document() | {"at": at}).encode())


def test_a_program_that_answers_by_drops_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "MAX_FETCH_S", 0.0)
    with answering(b" ") as url, pytest.raises(NoAnswer, match="its answer takes more than 0 s"):
        fetch(f"{url}/status.json")


@pytest.mark.anyio
@pytest.mark.parametrize("number", [10**4299, -(10**4299), 1 << 64])
async def test_counts_that_no_program_has_are_refused(number: int) -> None:
    body = document()
    body["objects"][0]["counters"]["delivered"] = number
    with pytest.raises(NoAnswer, match="not the status"):
        read("http://here", json.dumps(body).encode())


@pytest.mark.anyio
async def test_a_terminal_that_takes_ascii_alone_gets_escapes() -> None:
    body = document()
    body["objects"][0]["name"] = "bücher"
    with answering(json.dumps(body).encode()) as url:
        done = top(url, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "b\\xfccher" in done.stdout


@pytest.mark.anyio
async def test_fields_that_were_added_later_do_not_matter() -> None:
    assert read("http://here", json.dumps(document() | {"more": 1}).encode())["version"] == 1


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("localhost:8000", "http://localhost:8000/status.json"),
        ("https://host/ops/", "https://host/ops/status.json"),
        ("http://[::1]:80/status.json?token=x", "http://[::1]:80/status.json?token=x"),
    ],
)
def test_scheme_and_path_may_be_left_out(typed: str, url: str) -> None:
    assert parse_arguments(["top", typed]) == TopOptions(url)


@pytest.mark.parametrize(
    ("stdout", "code", "said"),
    [(">/dev/full", 2, "stdout cannot be written: "), ("| head -c 0", 0, "")],
)
@pytest.mark.anyio
async def test_a_stdout_that_takes_nothing(stdout: str, code: int, said: str) -> None:
    body = json.dumps(document()).encode()
    with answering(body) as url:
        script = f'"$0" top "$1" {stdout}; exit ${{PIPESTATUS[0]}}'
        environment = {**os.environ, "no_proxy": "127.0.0.1"}
        argv = ["bash", "-c", script, PROGRAM, url]
        done = await anyio.run_process(argv, check=False, env=environment)
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == bool(said)


def test_a_password_in_an_address_is_refused_and_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["top", "http://me:hunter2@localhost:8000"])
    shown = capsys.readouterr().err
    assert "leave out the user and the password" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("typed", ["", "file:///etc/passwd", "http://", "http://host:port", "a b"])
def test_other_addresses_are_refused(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["top", typed])
    assert "is not like http://localhost:8000/ops" in capsys.readouterr().err
