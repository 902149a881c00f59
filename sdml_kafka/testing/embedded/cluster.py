"""Brings a cluster up, waits until clients can use it, and takes it down; everything blocks."""

import base64
import shutil
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from sdml_kafka.testing.embedded import readiness
from sdml_kafka.testing.embedded.config import NodePorts
from sdml_kafka.testing.embedded.download import JarDownload, Progress
from sdml_kafka.testing.embedded.errors import KafkaStartError, StartCancelled
from sdml_kafka.testing.embedded.jars import default_cache, kafka_jars
from sdml_kafka.testing.embedded.java import find_java
from sdml_kafka.testing.embedded.node import Node
from sdml_kafka.testing.embedded.ports import choose_ports
from sdml_kafka.testing.embedded.processes import Processes
from sdml_kafka.testing.embedded.releases import Release

_POLL_S = 0.05
_PORT_ATTEMPTS = 3
_OFFSET_PARTITIONS = "offsets.topic.num.partitions"


@attrs.frozen
class Settings:
    """The arguments of an `EmbeddedKafka`."""

    nodes: int
    release: Release
    port: int | None
    properties: Mapping[str, str]
    java: Path | None
    start_timeout_s: float
    progress: Progress | None


class Cluster:
    """The nodes from `start` to `close`. One thread at a time starts or stops nodes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cancelled = threading.Event()
        self._busy = threading.RLock()
        self._processes: Processes | None = None
        self.ports: list[NodePorts] = []
        self.nodes: list[Node] = []

    def node(self, number: int) -> Node:
        """Return a node; raise `ValueError` for a number that none has."""
        if not 0 <= number < len(self.nodes):
            raise ValueError(f"there is no node {number}: nodes are 0 to {len(self.nodes) - 1}")
        return self.nodes[number]

    def start(self) -> None:
        """Start all nodes, on other ports if another process takes one of theirs meanwhile."""
        with self._busy:
            self._check_not_closed()
            settings = self._settings
            java = find_java(settings.java)
            download = JarDownload(settings.release, settings.progress)
            jars = kafka_jars(settings.release, default_cache(), download, self._cancelled)
            self._check_not_closed()
            deadline = time.monotonic() + settings.start_timeout_s
            processes = self._processes = Processes()
            attempt = 1
            while True:
                self._configure(processes, java.executable, jars)
                try:
                    self._bring_up(deadline)
                    return
                except KafkaStartError:
                    has_lost_port = any(node.lost_a_port for node in self.nodes)
                    if attempt == _PORT_ATTEMPTS or not has_lost_port:
                        raise
                attempt += 1
                self._discard_nodes()

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

    def _discard_nodes(self) -> None:
        for node in self.nodes:
            node.kill()
            shutil.rmtree(node.data, ignore_errors=True)

    def restart(self, number: int) -> None:
        """Stop the node if it runs, start it, and wait until clients can use it."""
        with self._busy:
            self._check_not_closed()
            node = self.node(number)
            node.stop(self.pause)
            node.start()
            deadline = time.monotonic() + self._settings.start_timeout_s
            self._wait_until_usable([node], deadline)

    def stop(self, number: int) -> None:
        """Shut the node down in good order."""
        with self._busy:
            self.node(number).stop(self.pause)

    def close(self) -> None:
        """End all nodes, and a start that is under way in another thread."""
        self._cancelled.set()
        with self._busy:
            processes, self._processes = self._processes, None
            if processes is not None:
                processes.end()

    def pause(self, seconds: float) -> None:
        """Sleep; raise `StartCancelled` as soon as the cluster is closed."""
        if self._cancelled.wait(seconds):
            raise StartCancelled("the embedded Kafka was closed while it started")

    def _check_not_closed(self) -> None:
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
            # A node without its port goes down soon, though its other listener may still answer.
            if not node.alive or node.lost_a_port:
                raise KafkaStartError(
                    f"node {node.number} of the embedded Kafka ended while it started. The end "
                    f"of its log:\n{node.log_tail()}"
                )

    def _missing(self, started: Sequence[Node]) -> str | None:
        """Return what clients still have to wait for, None if nothing."""
        running = {node.number for node in self.nodes if node.alive and not node.frozen}
        if 2 * len(running) <= len(self.nodes):
            return None  # without a majority no node can become ready
        try:
            for node in started:
                ports = self.ports[node.number]
                internal = ("127.0.0.1", ports.internal)
                if missing := readiness.missing_brokers(internal, running):
                    return f"node {node.number} does not see {sorted(missing)}"
                if not readiness.accepts(("127.0.0.1", ports.client)):
                    return f"node {node.number} does not listen for clients"
            if len(running) == len(self.nodes):
                return self._find_unserved_group(self.ports[started[0].number].internal)
        except OSError as error:
            return f"no answer: {error}"
        return None

    def _find_unserved_group(self, port: int) -> str | None:
        # A group belongs to the partition that the hash of its name gives, and the hashes of
        # neighbouring letters follow each other: so many letters cover all partitions.
        partitions = int(self._settings.properties.get(_OFFSET_PARTITIONS, "4"))
        for letter in "abcdefghijklmnopqrstuvwxyz"[:partitions]:
            if not readiness.group_is_served(("127.0.0.1", port), letter):
                return "its group coordinator is not ready"
        return None


def _new_cluster_id() -> str:
    encoded = base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()
    return f"K{encoded[1:]}"  # an id that begins with a dash would be taken for an option
