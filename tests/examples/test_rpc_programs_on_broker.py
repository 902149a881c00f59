"""The examples that make calls run as their readers run them: as programs, to the end."""

import subprocess
import sys
from pathlib import Path

import pytest

from sdml_kafka.testing import EmbeddedKafka

pytestmark = pytest.mark.broker

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE_S = 60.0


def lines_of(name: str, bootstrap: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), bootstrap],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout.splitlines()


def test_prices_on_asyncio(embedded_kafka: EmbeddedKafka) -> None:
    assert sorted(lines_of("rpc_asyncio.py", embedded_kafka.bootstrap_servers)) == [
        "apples: 2",
        "bread: 3",
        "cheese: 7",
        "dates: deadline_exceeded",
        "eggs: not_found",
    ]


def test_a_stream_of_replies_on_trio(embedded_kafka: EmbeddedKafka) -> None:
    lines = lines_of("rpc_trio.py", embedded_kafka.bootstrap_servers)
    assert lines == [
        "1. Moby Dick, part 1",
        "2. Moby Dick, part 2",
        "3. Moby Dick, part 3",
        "the server stops reading",
    ]
