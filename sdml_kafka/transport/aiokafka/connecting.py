# pyright: basic
# aiokafka is not typed.
"""Make the connections of one aiokafka client, and remember why those that failed did.

aiokafka tries one address after the other, each for `request_timeout_ms`, under one lock for all
connections, and it says in its log alone why one failed. Here several addresses are asked side by
side, a broker that does not answer holds up no other, and each failure is kept for whoever has to
explain it.

The private attributes of the client that are used, checked on aiokafka 0.13.0, 0.14.0 and
0.15.0rc1: its settings, `_conns`, `_on_connection_closed`, `_sync_task`, `_md_synchronizer`.
Replaced are `bootstrap`, `_get_conn` and `close`, for this client alone.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from logging import getLogger
from random import sample
from typing import Any

from aiokafka.client import ConnectionGroup
from aiokafka.conn import CloseReason, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError, StaleMetadata
from aiokafka.protocol.metadata import MetadataRequest

from sdml_kafka.log_fields import fields
from sdml_kafka.transport.aiokafka.connection_failures import (
    Address,
    Failure,
    place,
    reason_of,
)
from sdml_kafka.transport.aiokafka.frames import read_frames

_log = getLogger("aiokafka")  # in its place, so that the filter for its lines counts these, too

STAGGER_S = 0.25
"""Seconds after which the next address is asked as well, if those before have not answered."""
PATIENCE_S = 1.0
"""Seconds that anybody waits for a connection to one broker of several. The attempt goes on."""
EXPECTED: tuple[type[Exception], ...] = (OSError, KafkaError, asyncio.TimeoutError)


class Connecting:
    """Connects one client.

    Attributes:
        protocol: The client's `security_protocol`.
        has_found_brokers: Whether one of `bootstrap_servers` has answered.
        asked: The addresses of `bootstrap_servers` that were asked, each with its failure, None
            while it has not answered.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.protocol: str = str(client._security_protocol)
        self._attempts: dict[tuple[Any, Any], asyncio.Task[None]] = {}
        self._trying: dict[Any, tuple[Address, float]] = {}
        """The address of each broker that is being connected to, and since when."""
        self._is_closed = False
        self._close = client.close
        self.has_found_brokers: bool = False
        self.asked: dict[Address, BaseException | None] = {}
        self._failures: dict[Any, Failure] = {}
        client.bootstrap = self.bootstrap
        client._get_conn = self.get_connection
        client.close = self.close

    def failures(self) -> Mapping[Any, Failure]:
        """Return the failures of brokers that could not be reached at their last attempt.

        An attempt that has lasted for `PATIENCE_S` is one of them.
        """
        begun_by = asyncio.get_running_loop().time() - PATIENCE_S
        return {
            **self._failures,
            **{
                node: Failure(address, TimeoutError())
                for (node, _), (address, since) in self._trying.items()
                if since <= begun_by
            },
        }

    def unreachable(self) -> Mapping[str, str]:
        """Return the brokers of the cluster that could not be reached lately, with the reason."""
        if not (failures := self.failures()):
            return {}
        known = {broker.nodeId for broker in self._client.cluster.brokers()}
        return {
            str(node): f"{place(failure.address)}: {reason_of(failure.error, self.protocol)}"
            for node, failure in failures.items()
            if node in known
        }

    async def bootstrap(self) -> None:
        """Find the brokers, and reach one at the address that it advertises.

        Raises:
            KafkaConnectionError: No address answered, or none of the brokers can be reached.
        """
        await self._find_brokers()
        self.has_found_brokers = True
        await self._reach()

    async def _find_brokers(self) -> None:
        """Take the brokers' addresses from the first of `bootstrap_servers` that answers."""
        client = self._client
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[Any, Any]] = loop.create_future()
        waiting = deque((host, port) for host, port, _ in client.hosts)
        running: set[asyncio.Task[None]] = set()
        is_taken = False
        try:
            while (waiting or running) and not answer.done():
                if waiting:
                    running.add(loop.create_task(self._ask(waiting.popleft(), answer)))
                _, running = await asyncio.wait(
                    running,
                    timeout=STAGGER_S if waiting else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            if not answer.done():
                self._raise_failure()
            connection, metadata = answer.result()
            client.cluster.update_metadata(metadata)
            if not client.cluster.brokers():  # one that has just come up
                client._conns["bootstrap", ConnectionGroup.DEFAULT] = connection
                is_taken = True
            if client._sync_task is None:
                client._sync_task = loop.create_task(client._md_synchronizer())
        finally:
            if not answer.done():
                answer.cancel()
            elif not is_taken and not answer.cancelled():
                answer.result()[0].close()
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    async def _ask(self, address: Address, answer: "asyncio.Future[tuple[Any, Any]]") -> None:
        self.asked[address] = None
        try:
            connection = await self._open(address)
            try:
                metadata = await connection.send(MetadataRequest([]))
            except BaseException:
                connection.close()
                raise
        except Exception as error:
            self.asked[address] = error
            extra = fields(broker="{}:{}".format(*address), error=error)
            _log.error('Unable to bootstrap from "%s:%s": %r', *address, error, extra=extra)
            return
        if answer.done():
            connection.close()
        else:
            answer.set_result((connection, metadata))

    def _raise_failure(self) -> None:
        for error in self.asked.values():
            if error is not None and not isinstance(error, EXPECTED):
                raise error
        raise KafkaConnectionError("Unable to bootstrap from any address")

    async def _reach(self) -> None:
        """Connect to any broker; aiokafka itself would go on without one."""
        brokers = self._client.cluster.brokers()
        while brokers:
            for broker in sample(list(brokers), len(brokers)):
                if await self.get_connection(broker.nodeId) is not None:
                    return
            if all(broker.nodeId in self._failures for broker in brokers) and not self._attempts:
                raise KafkaConnectionError("Unable to connect to any broker")

    async def get_connection(
        self, node_id: Any, *, group: Any = ConnectionGroup.DEFAULT, no_hint: bool = False
    ) -> Any:
        """Return the connection to a broker, None if there is none within the patience."""
        key = (node_id, group)
        if (connection := self._connected(key)) is not None:
            return connection
        if self._is_closed:
            return None
        if (attempt := self._attempts.get(key)) is None:
            # Whoever has waited for its patience finds the attempt among the failures.
            since = asyncio.get_running_loop().time()
            attempt = self._attempts[key] = asyncio.create_task(self._connect(key, since))
            attempt.add_done_callback(lambda _: self._attempts.pop(key, None))
        has_others = len(self._client.cluster.brokers()) > 1
        await asyncio.wait({attempt}, timeout=PATIENCE_S if has_others else None)
        return self._connected(key)

    def _connected(self, key: tuple[Any, Any]) -> Any:
        connection = self._client._conns.get(key)
        if connection is not None and not connection.connected():
            self._client._conns.pop(key)
            # Its reader may not have seen the end of the stream yet. Nobody else would close it,
            # and what waits for its answers would wait until it times out
            # (findings/aiokafka-forgotten-connection.sh).
            connection.close(CloseReason.CONNECTION_BROKEN)
            return None
        return connection

    async def _connect(self, key: tuple[Any, Any], since: float) -> None:
        client, node_id = self._client, key[0]
        address: Address | None = None
        try:
            broker = client.cluster.broker_metadata(node_id)
            if broker is None and hasattr(client.cluster, "coordinator_metadata"):  # 0.13
                broker = client.cluster.coordinator_metadata(node_id)
            if broker is None:
                raise StaleMetadata(f"Broker id {node_id} not in current metadata")
            address = (broker.host, broker.port)
            self._trying[key] = address, since
            client._conns[key] = await self._open(address, client._on_connection_closed)
            self._failures.pop(node_id, None)
        except Exception as error:
            if address is not None:
                self._failures[node_id] = Failure(address, error)
            extra = fields(broker=node_id, error=error)
            _log.error("Unable connect to node with id %s: %r", node_id, error, extra=extra)
            client.force_metadata_update()  # the broker may have moved
        finally:
            self._trying.pop(key, None)

    async def _open(self, address: Address, on_close: Any = None) -> Any:
        client = self._client
        connection = await create_conn(
            *address,
            client_id=client._client_id,
            request_timeout_ms=client._request_timeout_ms,
            ssl_context=client._ssl_context,
            security_protocol=client._security_protocol,
            on_close=on_close,
            max_idle_ms=client._connections_max_idle_ms,
            sasl_mechanism=client._sasl_mechanism,
            sasl_plain_username=client._sasl_plain_username,
            sasl_plain_password=client._sasl_plain_password,
            sasl_kerberos_service_name=client._sasl_kerberos_service_name,
            sasl_kerberos_domain_name=client._sasl_kerberos_domain_name,
            sasl_oauth_token_provider=client._sasl_oauth_token_provider,
        )
        read_frames(connection)
        return connection

    async def close(self) -> None:
        """Close the client, after the attempts that go on."""
        self._is_closed = True
        attempts = set(self._attempts.values())
        for attempt in attempts:
            attempt.cancel()
        if attempts:
            await asyncio.wait(attempts)
        await self._close()
