"""A TCP proxy that forgets connections as load balancers do: packets vanish, nothing is reset."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import pytest
from aiokafka.conn import AIOKafkaConnection

CHUNK = 1 << 16


class ForgetfulProxy:
    """Passes on bytes between clients and a broker, in a thread with a loop of its own.

    Connections that are there when `forget` is called carry nothing from then on and stay open; new
    ones work.
    """

    def __init__(self) -> None:
        self.ports: dict[int, int] = {}
        """The port of the proxy for each port of a broker."""
        self.accepted = 0
        """The number of connections so far."""
        # Inside of trio-asyncio, `asyncio.new_event_loop` makes another kind of loop, or none.
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._era = 0
        self._servers: list[asyncio.Server] = []
        self._writers: list[asyncio.StreamWriter] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def port_to(self, broker_port: int) -> int:
        """Return the port that leads to a broker's."""
        if broker_port not in self.ports:
            opening = asyncio.run_coroutine_threadsafe(self._open(broker_port), self._loop)
            self.ports[broker_port] = opening.result(10)
        return self.ports[broker_port]

    def forget(self) -> None:
        """Pass on nothing more on the connections that are there now."""
        self._era += 1

    async def _open(self, broker_port: int) -> int:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            era, self.accepted = self._era, self.accepted + 1
            there, back = await asyncio.open_connection("127.0.0.1", broker_port)
            self._writers += writer, back
            with suppress(asyncio.CancelledError):
                await asyncio.gather(self._pump(era, reader, back), self._pump(era, there, writer))

        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _pump(
        self, era: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(CHUNK):
                if era == self._era:
                    writer.write(data)
                    await writer.drain()
            if era == self._era:
                writer.close()
        except OSError:
            writer.close()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for writer in self._writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgetfulProxy]:
    """Let every aiokafka client of this process reach its brokers through a proxy.

    Brokers name their own addresses to clients, so a proxy in front of them would be left out.
    """
    connect = AIOKafkaConnection.connect
    with ForgetfulProxy() as proxy:

        async def through(connection: Any) -> Any:
            connection._port = proxy.port_to(connection.port)
            return await connect(connection)

        with monkeypatch.context() as patch:
            patch.setattr(AIOKafkaConnection, "connect", through)
            yield proxy
