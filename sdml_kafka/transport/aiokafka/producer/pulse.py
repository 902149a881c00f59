# pyright: basic
# aiokafka is not typed.
"""Ask brokers now and then for what costs them nothing, while a producer sends nothing.

Only a request without an answer shows that a broker is frozen: its connection stays up, and
`silent_connections.py` closes it then.
"""

import asyncio
from typing import Any

from aiokafka import errors as kafka
from aiokafka.protocol.metadata import MetadataRequest

from sdml_kafka.transport.aiokafka.client import connections_of, moved_bytes

CALM_LOOKS = 6
"""The number of looks that see no answer after which brokers are asked for one."""


class Pulse:
    """Watches the connections of one producer."""

    def __init__(self, client: Any) -> None:
        """Ask nothing yet; `client` is the `AIOKafkaClient` of the producer."""
        self._client = client
        self._seen: list[object] = []
        self._calm = 0
        self._asks: set[asyncio.Task[None]] = set()

    def look(self) -> None:
        """See whether answers come, and ask for some if none has come for a while."""
        connections = connections_of(self._client)
        seen: list[object] = [(place, moved_bytes(each)) for place, each in connections]
        self._calm = self._calm + 1 if seen == self._seen else 0
        self._seen = seen
        if self._calm < CALM_LOOKS or self._asks:
            return
        self._calm = 0
        for (node, purpose), _ in connections:
            if isinstance(node, int):  # no broker's own number is known of the first connection
                ask = asyncio.get_running_loop().create_task(self._ask(node, purpose))
                self._asks.add(ask)
                ask.add_done_callback(self._asks.discard)

    async def _ask(self, node: int, purpose: Any) -> None:
        try:
            request = MetadataRequest([], allow_auto_topic_creation=False)  # for brokers alone
            await self._client.send(node, request, group=purpose)
        except kafka.KafkaError:
            return  # the connection is closed by now

    def close(self) -> None:
        """Ask nothing more."""
        for ask in self._asks:
            ask.cancel()
