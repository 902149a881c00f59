"""Looking for what an embedded Kafka may have left behind."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil


def jvms(temp: Path, main_class: str = "kafka.") -> list[int]:
    """The JVMs whose files are in `temp`."""
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
    return [*jvms(temp), *temp.iterdir()]


def wait_until(condition: Callable[[], object], within_s: float) -> None:
    """Poll what another process does; no event tells of it."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)
