"""Runs `sdml-kafka` as people do, as a program of its own, or sooner, in the process of a test."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pytest

from sdml_kafka.cli.main import main
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic
from tests.support.log_lines import logs_as_before

PROGRAM = str(Path(sys.executable).with_name("sdml-kafka"))
EXIT_TIMEOUT_S = 30.0
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def run_here(*words: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end in this process, which spares the start of another one."""
    with (
        TemporaryFile("w+", encoding="utf-8") as out,
        TemporaryFile("w+", encoding="utf-8") as errors,
    ):
        with logs_as_before(), redirect_stdout(out), redirect_stderr(errors):
            code = main(words)
        return subprocess.CompletedProcess(words, code, _written(out), _written(errors))


def _written(file: IO[str]) -> bytes:
    file.flush()
    with open(file.fileno(), "rb", closefd=False) as written:
        written.seek(0)
        return written.read()


def run_program(*words: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end as a program of its own."""
    return subprocess.run(
        [PROGRAM, *words], capture_output=True, timeout=2 * EXIT_TIMEOUT_S, check=False
    )


def request(
    kafka: EmbeddedKafka | str, topic: str, value: str, *options: str, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    """Run `sdml-kafka request` to its end, with a process of its own if it reads stdin."""
    bootstrap = kafka if isinstance(kafka, str) else kafka.bootstrap_servers
    words = ["request", topic, value, "--bootstrap", bootstrap, *options]
    if value != "-":
        return run_here(*words)
    return subprocess.run(
        [PROGRAM, *words], input=stdin, capture_output=True, timeout=EXIT_TIMEOUT_S, check=False
    )


@contextmanager
def serving(
    kafka: EmbeddedKafka, topic: str, *options: str, command: tuple[str, ...]
) -> Iterator[subprocess.Popen[bytes]]:
    """Create the topic, and run `sdml-kafka serve` during the body."""
    asyncio.run(create_topic(kafka.bootstrap_servers, topic))
    argv = [PROGRAM, "serve", topic, "--bootstrap", kafka.bootstrap_servers, *options]
    argv += ["--group", f"{topic}-servers", "--", *command]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()
