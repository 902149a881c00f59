"""The blocking part: bring a cluster up, wait until clients can use it, take it down."""

import base64
import shutil
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from sdml_kafka.testing.embedded import readiness as _probe
from sdml_kafka.testing.embedded.config import NodePorts
from sdml_kafka.testing.embedded.download import JarDownload, Progress
from sdml_kafka.testing.embedded.errors import KafkaStartError, StartCancelled
from sdml_kafka.testing.embedded.jars import default_cache, kafka_jars
from sdml_kafka.testing.embedded.java import find_java
from sdml_kafka.testing.embedded.node import Node
from sdml_kafka.testing.embedded.ports import choose_ports
from sdml_kafka.testing.embedded.processes import Processes

_POLL_S = 0.05
_PORT_ATTEMPTS = 3
_OFFSET_PARTITIONS = "offsets.topic.num.partitions"


@attrs.frozen
class Settings:
    nodes: int
    port: int | None
    properties: Mapping[str, str]
    java: Path | None
    start_timeout_s: float
    progress: Progress | None


class Cluster:
    """Nodes, from `start` to `close`. One thread at a time starts or stops nodes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cancelled = threading.Event()
        self._busy = threading.RLock()
        self._processes: Processes | None = None
        self.ports: list[NodePorts] = []
        self.nodes: list[Node] = []

    def node(self, number: int) -> Node:
        if not 0 <= number < len(self.nodes):
            raise ValueError(f"there is no node {number}: nodes are 0 to {len(self.nodes) - 1}")
        return self.nodes[number]

    def start(self) -> None:
        with self._busy:
            self._go_on()
            settings = self._settings
            java = find_java(settings.java)
            jars = kafka_jars(default_cache(), JarDownload(settings.progress), self._cancelled)
            self._go_on()
            deadline = time.monotonic() + settings.start_timeout_s
            processes = self._processes = Processes()
            attempt = 1
            while True:
                self._configure(processes, java.executable, jars)
                try:
                    self._bring_up(deadline)
                    return
                except KafkaStartError:
                    lost = any(node.lost_a_port for node in self.nodes)
                    if attempt == _PORT_ATTEMPTS or not lost:
                        raise
                attempt += 1
                self._start_over()

    def _configure(self, processes: Processes, java: Path, jars: Sequence[Path]) -> None:
        self.ports = choose_ports(self._settings.nodes, self._settings.port)
        self.nodes = [Node(number, processes) for number in range(self._settings.nodes)]
        for node in self.nodes:
            node.configure(java, jars, self.ports, self._settings.properties)

    def _bring_up(self, deadline: float) -> None:
        def wait(seconds: float) -> None:
            self._check_time(deadline, "its storage is being formatted")
            self.pause(seconds)

        cluster_id = _new_cluster_id()
        for node in self.nodes:
            node.begin_format(cluster_id)
        for node in self.nodes:
            node.end_format(wait)
        for node in self.nodes:
            node.start()
        self._wait_until_usable(self.nodes, deadline)

    def _start_over(self) -> None:
        for node in self.nodes:
            node.kill()
            shutil.rmtree(node.data, ignore_errors=True)

    def restart(self, number: int) -> None:
        with self._busy:
            self._go_on()
            node = self.node(number)
            node.stop(self.pause)
            node.start()
            deadline = time.monotonic() + self._settings.start_timeout_s
            self._wait_until_usable([node], deadline)

    def stop(self, number: int) -> None:
        with self._busy:
            self.node(number).stop(self.pause)

    def close(self) -> None:
        """Ends a start that is under way in another thread, too."""
        self._cancelled.set()
        with self._busy:
            processes, self._processes = self._processes, None
            if processes is not None:
                processes.end()

    def pause(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise StartCancelled("the embedded Kafka was closed while it started")

    def _go_on(self) -> None:
        self.pause(0)

    def _wait_until_usable(self, started: Sequence[Node], deadline: float) -> None:
        while True:
            self._check_alive(started)
            missing = self._missing(started)
            self._check_alive(started)
            if missing is None:
                return
            self._check_time(deadline, missing)
            self.pause(_POLL_S)

    def _check_time(self, deadline: float, missing: str) -> None:
        if time.monotonic() > deadline:
            logs = "\n".join(node.log_tail() for node in self.nodes)
            raise KafkaStartError(
                f"Kafka was not ready in {self._settings.start_timeout_s:g} s ({missing}): on a "
                f"slow or busy machine raise `start_timeout_s`. The end of its log:\n{logs}"
            )

    def _check_alive(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            # Without its port it goes down soon, while its other listener may answer yet.
            if not node.alive or node.lost_a_port:
                raise KafkaStartError(
                    f"node {node.number} of the embedded Kafka ended while it started. The end "
                    f"of its log:\n{node.log_tail()}"
                )

    def _missing(self, started: Sequence[Node]) -> str | None:
        """What clients still have to wait for, or None."""
        running = {node.number for node in self.nodes if node.alive and not node.frozen}
        if 2 * len(running) <= len(self.nodes):
            return None  # without a majority no node can become ready
        try:
            for node in started:
                ports = self.ports[node.number]
                internal = ("127.0.0.1", ports.internal)
                if missing := _probe.missing_brokers(internal, running):
                    return f"node {node.number} does not see {sorted(missing)}"
                if not _probe.accepts(("127.0.0.1", ports.client)):
                    return f"node {node.number} does not listen for clients"
            if len(running) == len(self.nodes):
                return self._unserved_group(self.ports[started[0].number].internal)
        except OSError as error:
            return f"no answer: {error}"
        return None

    def _unserved_group(self, port: int) -> str | None:
        # Kafka takes the partition from the hash of the name, so neighbours cover them all.
        partitions = int(self._settings.properties.get(_OFFSET_PARTITIONS, "4"))
        for letter in "abcdefghijklmnopqrstuvwxyz"[:partitions]:
            if not _probe.group_is_served(("127.0.0.1", port), letter):
                return "its group coordinator is not ready"
        return None


def _new_cluster_id() -> str:
    encoded = base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()
    return f"K{encoded[1:]}"  # one that starts with a dash would be taken for an option
