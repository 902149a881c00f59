"""A Kafka node: its folder, its JVM and its log."""

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
    """A node, whose JVM may be started and ended again and again."""

    def __init__(self, number: int, processes: Processes) -> None:
        self.number = number
        self.started: bool = False
        self.frozen: bool = False
        self._folder = processes.folder / f"node-{number}"
        self._processes = processes
        self._java: list[str] = []
        self._log = self._folder / "log"

    @property
    def data(self) -> Path:
        """The folder of the node's storage."""
        return self._folder / "data"

    def configure(
        self,
        java: Path,
        class_path: Sequence[Path],
        ports: Sequence[NodePorts],
        properties: Mapping[str, str],
    ) -> None:
        """Write the node's configuration files."""
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
        """Start formatting the storage."""
        self._run("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c")

    def end_format(self, wait: Callable[[float], None]) -> None:
        """Wait until the storage is formatted; `wait` sleeps, and raises to give up."""
        while (code := self._processes.exit_code(self.number)) is None:
            wait(_POLL_S)
        if code != 0:
            raise KafkaStartError(f"Kafka could not format its storage:\n{self.log_tail()}")

    def start(self) -> None:
        """Start the JVM; the node is not ready yet."""
        self._log.unlink(missing_ok=True)
        self._run("kafka.Kafka")
        self.started, self.frozen = True, False

    def _run(self, main_class: str, *arguments: str) -> None:
        argv = [*self._java, main_class, *arguments, str(self._properties_file)]
        self._processes.start(self.number, argv, self._log)

    @property
    def alive(self) -> bool:
        """True if the JVM exists, frozen or not."""
        return self.started and self._processes.exit_code(self.number) is None

    @property
    def lost_a_port(self) -> bool:
        """True if another process has one of the node's ports."""
        return "Address already in use" in self._log_text()

    def kill(self) -> None:
        """Kill the JVM, and wait until it is gone."""
        if self.started:
            self._processes.kill(self.number)
        self.frozen = False

    def freeze(self) -> None:
        """Let the JVM stand still."""
        if not self.alive:
            raise EmbeddedKafkaError(f"node {self.number} does not run: restart it first")
        self._processes.signal(self.number, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """Let a frozen JVM go on."""
        self._processes.signal(self.number, signal.SIGCONT)
        self.frozen = False

    def stop(self, wait: Callable[[float], None]) -> None:
        """Let Kafka shut down in good order, and kill it if that takes too long."""
        self._processes.signal(self.number, signal.SIGTERM)
        self.thaw()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while self.alive:
            if time.monotonic() > deadline:
                self.kill()
            wait(_POLL_S)

    def log_tail(self) -> str:
        """Return the last lines of the log, without stack frames."""
        frame = "\tat "
        lines = [line for line in self._log_text().splitlines() if not line.startswith(frame)]
        return "\n".join(lines[-_LOG_LINES:]) or "(its log is empty)"

    def _log_text(self) -> str:
        try:
            return self._log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
