"""A Python program in a process of its own, whose files and embedded Kafka are in one folder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdml_kafka.testing.embedded.releases import VERSION_VARIABLE


@contextmanager
def program(code: str, temp: Path) -> Iterator[subprocess.Popen[str]]:
    own = {"TMPDIR": str(temp), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    version = {name: os.environ[name] for name in {VERSION_VARIABLE} & os.environ.keys()}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**own, **version},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
