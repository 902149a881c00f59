"""Starts, signals and watches the JVMs by means of the reaper, the process in between."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from sdml_kafka.testing.embedded import reaper
from sdml_kafka.testing.embedded.errors import EmbeddedKafkaError

_END_TIMEOUT_S = 10.0


class Processes:
    """The reaper, a JVM for each node, and the temporary folder that all of them work in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_id = 0
        self._owner = os.getpid()
        self.folder: Path = Path(tempfile.mkdtemp(prefix="sdml-kafka-"))
        try:
            self._reaper = self._start_reaper()
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def _start_reaper(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, str(self._owner), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C in a terminal must not reach the reaper: the program ends its JVMs itself.
            start_new_session=True,
        )

    def start(self, node: int, argv: Sequence[str], log: Path) -> int:
        """Start the node's process with its output in a file; return the process's id."""
        pid = self._ask({"do": "start", "node": node, "argv": list(argv), "log": str(log)})
        assert pid is not None
        return pid

    def signal(self, node: int, number: int) -> None:
        """Send a signal to the node's process, if it runs."""
        self._ask({"do": "signal", "node": node, "signal": number})

    def kill(self, node: int) -> None:
        """Kill the node's process, and wait until it is gone."""
        self._ask({"do": "kill", "node": node})

    def exit_code(self, node: int) -> int | None:
        """Return the exit code of the node's process, None while it runs."""
        return self._ask({"do": "poll", "node": node})

    def _ask(self, command: dict[str, object]) -> int | None:
        try:
            with self._lock:
                answer = self._exchange(command)
        except (OSError, ValueError) as error:
            raise EmbeddedKafkaError(
                "the process that keeps the embedded Kafka has ended, and its nodes with it: "
                "make a new one"
            ) from error
        if "error" in answer:
            raise EmbeddedKafkaError(f"a process could not be started: {answer['error']}")
        result: int | None = answer["ok"]
        return result

    def _exchange(self, command: dict[str, object]) -> dict[str, Any]:
        stdin, stdout = self._pipes()
        self._last_id += 1
        stdin.write(json.dumps({**command, "id": self._last_id}).encode() + b"\n")
        stdin.flush()
        while True:
            answer: dict[str, Any] = json.loads(stdout.readline())
            # An earlier answer, which a KeyboardInterrupt kept us from reading, is passed over.
            if answer["id"] == self._last_id:
                return answer

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        stdin, stdout = self._reaper.stdin, self._reaper.stdout
        assert stdin is not None
        assert stdout is not None
        return stdin, stdout

    def end(self) -> None:
        """Kill every JVM and remove the folder; return when that is done."""
        with self._lock:
            for pipe in self._pipes():
                with contextlib.suppress(OSError):
                    pipe.close()
        if os.getpid() != self._owner:
            return  # this is a fork, and its parent still uses the JVMs
        try:
            self._reaper.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._reaper.kill()
            self._reaper.wait()
        # The reaper has removed the folder, unless it was killed.
        shutil.rmtree(self.folder, ignore_errors=True)
