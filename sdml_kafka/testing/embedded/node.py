"""One Kafka node: its folder, its JVM, and what its log says."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sdml_kafka.testing.embedded.config import (
    LOGGING,
    NodePorts,
    as_properties_file,
    java_arguments,
    server_properties,
)
from sdml_kafka.testing.embedded.errors import EmbeddedKafkaError, KafkaStartError
from sdml_kafka.testing.embedded.processes import Processes

_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.02
_LOG_LINES = 20


class Node:
    def __init__(self, number: int, processes: Processes) -> None:
        self.number = number
        self.started = False
        self.frozen = False
        self._folder = processes.folder / f"node-{number}"
        self._processes = processes
        self._java: list[str] = []
        self._log = self._folder / "log"

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def configure(
        self,
        java: Path,
        class_path: Sequence[Path],
        ports: Sequence[NodePorts],
        properties: Mapping[str, str],
    ) -> None:
        self._folder.mkdir(exist_ok=True)
        logging_file = self._folder / "log4j2.properties"
        logging_file.write_text(LOGGING)
        own = server_properties(self.number, ports, self.data, properties)
        self._properties_file.write_text(as_properties_file(own))
        self._java = [str(java), *java_arguments(class_path, logging_file)]

    @property
    def _properties_file(self) -> Path:
        return self._folder / "server.properties"

    def begin_format(self, cluster_id: str) -> None:
        self._run("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c")

    def end_format(self, wait: Callable[[float], None]) -> None:
        while (code := self._processes.exit_code(self.number)) is None:
            wait(_POLL_S)
        if code != 0:
            raise KafkaStartError(f"Kafka could not format its storage:\n{self.log_tail()}")

    def start(self) -> None:
        self._log.unlink(missing_ok=True)
        self._run("kafka.Kafka")
        self.started, self.frozen = True, False

    def _run(self, main_class: str, *arguments: str) -> None:
        argv = [*self._java, main_class, *arguments, str(self._properties_file)]
        self._processes.start(self.number, argv, self._log)

    @property
    def alive(self) -> bool:
        return self.started and self._processes.exit_code(self.number) is None

    @property
    def lost_a_port(self) -> bool:
        return "Address already in use" in self._log_text()

    def kill(self) -> None:
        if self.started:
            self._processes.kill(self.number)
        self.frozen = False

    def freeze(self) -> None:
        if not self.alive:
            raise EmbeddedKafkaError(f"node {self.number} does not run: restart it first")
        self._processes.signal(self.number, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        self._processes.signal(self.number, signal.SIGCONT)
        self.frozen = False

    def stop(self, wait: Callable[[float], None]) -> None:
        """Let Kafka shut down in good order, and kill it when it takes too long."""
        self._processes.signal(self.number, signal.SIGTERM)
        self.thaw()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while self.alive:
            if time.monotonic() > deadline:
                self.kill()
            wait(_POLL_S)

    def log_tail(self) -> str:
        frame = "\tat "  # of a Java stack trace
        lines = [line for line in self._log_text().splitlines() if not line.startswith(frame)]
        return "\n".join(lines[-_LOG_LINES:]) or "(its log is empty)"

    def _log_text(self) -> str:
        try:
            return self._log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
