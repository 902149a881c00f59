"""What is closed after a `stop()` that raised."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka.client import AIOKafkaClient

from sdml_kafka.transport.aiokafka.consumer.internals import finish_stop


class Connection:
    is_closed = False

    def close(self, reason: object) -> "asyncio.Future[None]":
        self.is_closed = True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


async def die() -> None:
    raise RuntimeError("unable to perform operation; the handler is closed")  # as uvloop does


def test_connections_are_closed_though_the_metadata_task_has_died() -> None:
    async def main() -> None:
        client: Any = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
        connection = Connection()
        client._conns = {0: connection}
        client._sync_task = asyncio.get_running_loop().create_task(die())
        await asyncio.wait({client._sync_task})
        await finish_stop(SimpleNamespace(_fetcher=None, _client=client))
        assert connection.is_closed

    asyncio.run(main())
