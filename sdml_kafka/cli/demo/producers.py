# pyright: basic
"""The senders of the demo, and its topic: plain aiokafka, on whichever loop that lives."""

from asyncio import Future
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import anyio.abc
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from sdml_kafka.cli.demo.ledger import Ledger
from sdml_kafka.cli.demo.order import order_value
from sdml_kafka.transport.asyncio_loop import Home

TICK_S = 0.02
CUSTOMERS = 97
FLUSH_TIMEOUT_S = 30.0
ADMIN_TIMEOUT_S = 10.0


class DemoFailed(Exception):
    """The demo cannot go on; the text says why."""


class Producer:
    """Sends orders at a steady rate and enters in the ledger what the broker acknowledged."""

    def __init__(self, name: str, servers: str, topic: str, rate: float, ledger: Ledger) -> None:
        self._name = name
        self._servers = servers
        self._topic = topic
        self._per_tick = max(1, round(rate * TICK_S))
        self._ledger = ledger
        self._stopping = False
        self._count = 0

    def stop(self) -> None:
        """Send no more; `run` ends once all is acknowledged. From any thread."""
        self._stopping = True

    async def run(self) -> None:
        """On the asyncio side. Raises DemoFailed."""
        try:
            await self._run()
        except KafkaError as error:
            raise DemoFailed(f"{self._name} cannot send: {error!r}") from error

    async def _run(self) -> None:
        # Idempotent, so that retries in an outage write nothing twice.
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            client_id=self._name,
            enable_idempotence=True,
            linger_ms=5,
            request_timeout_ms=10_000,
        )
        try:
            await producer.start()
            while not self._stopping:
                for _ in range(self._per_tick):
                    await self._send(producer)
                await anyio.sleep(TICK_S)
            with anyio.move_on_after(FLUSH_TIMEOUT_S):
                await producer.flush()
        finally:
            with anyio.move_on_after(2.0, shield=True):
                await producer.stop()

    async def _send(self, producer: AIOKafkaProducer) -> None:
        self._count += 1
        order = f"{self._name}-{self._count:06}"
        value = order_value(order, self._count * 37 % 500)
        key = f"customer-{self._count % CUSTOMERS}".encode()
        acknowledged = await producer.send(self._topic, value, key=key)
        acknowledged.add_done_callback(partial(self._on_acknowledged, order))

    def _on_acknowledged(self, order: str, outcome: "Future[Any]") -> None:
        if not outcome.cancelled() and outcome.exception() is None:
            self._ledger.sent(order)


@asynccontextmanager
async def sending(home: Home, producers: list[Producer]) -> AsyncGenerator[None]:
    """Senders that send during the body; leaving waits until all they sent is acknowledged."""
    async with anyio.create_task_group() as tasks:
        for producer in producers:
            tasks.start_soon(home.call, producer.run)
        try:
            yield
        finally:
            for producer in producers:
                producer.stop()


async def create_topic(servers: str, topic: str, partitions: int) -> None:
    """On the asyncio side. Raises DemoFailed."""
    # Replicated as the broker's default is; without the empty assignment that is refused.
    new = NewTopic(topic, partitions, replication_factor=-1, replica_assignments={})
    try:
        async with _admin(servers) as admin:
            answer: Any = await admin.create_topics([new])
        for _, code, text in answer.topic_errors:
            if code != 0:
                raise for_code(code)(text)
    except (KafkaError, TimeoutError) as error:
        reason = str(error) or f"no answer within {ADMIN_TIMEOUT_S:g} s"
        raise DemoFailed(f"the topic {topic} cannot be made at {servers}: {reason}") from error


async def delete_topic(servers: str, topic: str) -> None:
    """On the asyncio side. A topic that stays behind is no reason to fail."""
    with suppress(KafkaError, TimeoutError):
        async with _admin(servers) as admin:
            await admin.delete_topics([topic])


@asynccontextmanager
async def _admin(servers: str) -> AsyncGenerator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    try:
        with anyio.fail_after(ADMIN_TIMEOUT_S):
            await admin.start()
            yield admin
    finally:
        with anyio.move_on_after(2.0, shield=True):
            await admin.close()
