"""A server of the demo: a KafkaRPCServer that prices orders."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

from sdml_kafka import Call, KafkaRPCServer
from sdml_kafka.cli.demo.member import Group
from sdml_kafka.cli.demo.part import Part
from sdml_kafka.cli.demo.story import Story
from sdml_kafka.runtime import ActorSnapshot

WORK_S = 0.01
"""How long an answer takes: so some calls are in flight all along."""


def price_of(question: bytes) -> bytes:
    return b"the price of " + question


class Server(Part):
    _there = "serves"

    def __init__(
        self, name: str, group: Group, story: Story, on_failure: Callable[[Exception], None]
    ) -> None:
        super().__init__(name, on_failure)
        self._group = group
        self._story = story
        self._server: KafkaRPCServer | None = None

    @asynccontextmanager
    async def _present(self) -> AsyncGenerator[None]:
        try:
            async with self._new_server():
                yield
        finally:
            self._server = None

    def _new_server(self) -> KafkaRPCServer:
        self._server = KafkaRPCServer(
            bootstrap_servers=self._group.servers,
            group_id=self._group.name,
            on_event=lambda event: self._story.tell_event(self.name, event),
            heartbeat_interval_ms=300,
        )
        self._server.handler(self._group.topic)(self._answer)
        return self._server

    async def _answer(self, question: bytes, call: Call) -> bytes:
        await anyio.sleep(WORK_S)
        return price_of(question)

    def _tree(self) -> ActorSnapshot | None:
        return None if self._server is None else self._server.status().tree

    def _partition_count(self) -> int:
        return 0 if self._server is None else len(self._server.status().partitions)
