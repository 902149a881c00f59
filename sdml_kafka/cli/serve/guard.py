"""Ends the programs of `serve` when that one ends, however that came about: SIGKILL, too.

Run as a script by its path (standard library only, so it is up in some 20 ms):
`python -I -S _guard.py MARK`. It reads lines on stdin: `+PID` for a process group that has begun,
`-PID` for one that has ended. The end of stdin means that nobody else looks after the rest. On
Linux those that began too late to be told are found by the mark in their environment.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

BEING_STARTED_S = 0.2
"""A process has its own environment this long after its birth, at the latest."""


def groups_left(lines: Iterable[bytes]) -> set[int]:
    """Those that run when the lines end."""
    left: set[int] = set()
    for line in lines:
        pid = int(line[1:])
        if line.startswith(b"+"):
            left.add(pid)
        else:
            left.discard(pid)
    return left


def marked(mark: bytes) -> Iterator[int]:
    """Processes whose environment holds the mark, where the system shows it."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    mark = os.fsencode(sys.argv[1])
    for pid in groups_left(sys.stdin.buffer):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    for pause_s in (0.0, BEING_STARTED_S):
        time.sleep(pause_s)
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
