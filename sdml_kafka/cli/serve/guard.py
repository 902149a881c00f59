"""Ends the programs of `serve` when `serve` itself ends, even by SIGKILL.

This file runs as a script, by its path: `python -I -S guard.py MARK`. It imports the standard
library alone, so it runs after some 20 ms. It reads lines from stdin: `+PID` for a process group
that has begun, `-PID` for a process group that has ended. When stdin ends, `serve` is gone, and
the process groups that are left are killed. On Linux, programs that began too late for a line are
found by the mark in their environment.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

START_S = 0.2
"""Seconds within which a new process has its own environment, so that the mark is found there."""


def groups_left(lines: Iterable[bytes]) -> set[int]:
    """Return the process groups that have begun and not ended when the lines end."""
    left: set[int] = set()
    for line in lines:
        pid = int(line[1:])
        if line.startswith(b"+"):
            left.add(pid)
        else:
            left.discard(pid)
    return left


def marked(mark: bytes) -> Iterator[int]:
    """Yield the processes whose environment holds the mark, where the system shows that."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def main() -> None:
    """Wait for the end of stdin, then kill every program that is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    mark = os.fsencode(sys.argv[1])
    for pid in groups_left(sys.stdin.buffer):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    for pause_s in (0.0, START_S):
        time.sleep(pause_s)
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
