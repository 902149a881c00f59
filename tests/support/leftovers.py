"""Looking for what an embedded Kafka may have left behind."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the embedded Kafka of a test puts its files."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def jvms(temp: Path, main_class: str = "kafka.") -> list[int]:
    """Return the JVMs whose files are in `temp`."""
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if str(temp) in " ".join(words) and any(word.startswith(main_class) for word in words):
            found.append(process.pid)
    return found


def leftovers(temp: Path) -> list[object]:
    """Return the JVMs and files that are left."""
    return [*jvms(temp), *temp.iterdir()]


def wait_until(condition: Callable[[], object], within_s: float) -> None:
    """Wait for what another process does, by looking at it again and again."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)
