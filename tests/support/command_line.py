"""Runs `sdml-kafka` as people do: as a program of its own."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic

PROGRAM = str(Path(sys.executable).with_name("sdml-kafka"))
EXIT_TIMEOUT_S = 30.0
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def request(
    kafka: EmbeddedKafka | str, topic: str, value: str, *options: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `sdml-kafka request` to its end."""
    bootstrap = kafka if isinstance(kafka, str) else kafka.bootstrap_servers
    return subprocess.run(
        [PROGRAM, "request", topic, value, "--bootstrap", bootstrap, *options],
        input=stdin,
        capture_output=True,
        timeout=EXIT_TIMEOUT_S,
        check=False,
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
