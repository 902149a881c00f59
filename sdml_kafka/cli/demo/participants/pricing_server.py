"""A server of the demo: a KafkaRPCServer that answers with the price of an order."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio

from sdml_kafka import Call, KafkaRPCServer
from sdml_kafka.cli.demo.event_log import EventLog
from sdml_kafka.cli.demo.participants.participant import Participant
from sdml_kafka.runtime import ActorSnapshot

WORK_S = 0.01
"""Seconds that an answer takes, so that some calls are in flight at any time."""


def price_of(question: bytes) -> bytes:
    """Return the right answer."""
    return b"the price of " + question


class PricingServer(Participant):
    _active_state = "serves"

    def __init__(
        self,
        name: str,
        servers: str,
        topic: str,
        log: EventLog,
        on_failure: Callable[[Exception], None],
        client: Mapping[str, Any],
    ) -> None:
        super().__init__(name, on_failure)
        self._servers = servers
        self._topic = topic
        self._log = log
        self._client = client
        self._server: KafkaRPCServer | None = None

    @asynccontextmanager
    async def _taking_part(self) -> AsyncGenerator[None]:
        try:
            async with self._new_server():
                yield
        finally:
            self._server = None

    def _new_server(self) -> KafkaRPCServer:
        self._server = KafkaRPCServer(
            bootstrap_servers=self._servers,
            group_id=f"{self._topic}-group",
            on_event=lambda event: self._log.add_actor_event(self.name, event),
            **self._client,
        )
        self._server.handler(self._topic)(self._answer)
        return self._server

    async def _answer(self, question: bytes, call: Call) -> bytes:
        await anyio.sleep(WORK_S)
        return price_of(question)

    def observed(self) -> KafkaRPCServer | None:
        return self._server

    def _tree(self) -> ActorSnapshot | None:
        return None if self._server is None else self._server.status().tree

    def _partition_count(self) -> int:
        return 0 if self._server is None else len(self._server.status().partitions)
