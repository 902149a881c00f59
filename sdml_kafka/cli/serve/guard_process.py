"""Starts the guard, and keeps it informed of the programs that run."""

import os
import subprocess
import sys
from contextlib import suppress
from secrets import token_hex
from types import TracebackType
from typing import Self

from sdml_kafka.cli.serve import guard

MARK = "SDML_KAFKA_SERVE"


class GuardProcess:
    """The process that ends the programs when this process is killed; see `guard.py`."""

    def __init__(self) -> None:
        self.mark: dict[str, str] = {MARK: token_hex(16)}
        """The variable that the environment of a guarded program has to hold."""
        mark = f"{MARK}={self.mark[MARK]}"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C in a terminal reaches the whole process group, and the guard must outlive it.
            start_new_session=True,
        )

    def began(self, pid: int) -> None:
        """Guard the process group `pid` from now on."""
        self._send(b"+%d\n" % pid)

    def ended(self, pid: int) -> None:
        """Guard the process group `pid` no longer."""
        self._send(b"-%d\n" % pid)

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the guard was killed
            os.write(self._process.stdin.fileno(), line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
