# pyright: basic
# aiokafka is not typed.
"""Look up what a group has committed, over a producer's connections, without joining the group."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio

from sdml_kafka.transport.aiokafka.client import CLOSE_TIMEOUT_S
from sdml_kafka.transport.aiokafka.connecting import Connecting
from sdml_kafka.transport.aiokafka.log_filter import limited_logs, own_context
from sdml_kafka.transport.aiokafka.producer.admin import Admin
from sdml_kafka.transport.aiokafka.producer.startup import explain_start
from sdml_kafka.transport.aiokafka.startup import Startup
from sdml_kafka.transport.asyncio_loop import open_home
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit

Offsets = Mapping[TopicPartition, Commit | None]


async def group_offsets(
    producer_factory: Callable[[], Any], group_id: str, topic: str, timeout_s: float
) -> Offsets:
    """Return what a group has committed for each partition of a topic.

    Raises:
        SdmlKafkaError: It is not known; the error says why.
    """
    with limited_logs():
        async with open_home() as home:
            home.call_soon(own_context)
            made: list[_LookUp] = []

            async def look_up() -> Offsets:
                made.append(_LookUp(producer_factory()))
                return await made[0].run(group_id, topic, timeout_s)

            async def close() -> None:
                for each in made:
                    await each.close()

            try:
                return await home.call(look_up)
            finally:  # a caller that is cancelled leaves no connection either
                with anyio.move_on_after(CLOSE_TIMEOUT_S * 2, shield=True):
                    await home.call(close)


class _LookUp:
    """A look-up over a producer of its own. Lives on the asyncio side."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._startup = Startup(producer, Connecting(producer.client), explain_start)

    async def run(self, group_id: str, topic: str, timeout_s: float) -> Offsets:
        await self._startup.run(timeout_s)
        admin = Admin(self._producer)
        count = (await admin.partition_counts([topic], timeout_s))[topic]
        committed = await admin.committed(group_id, timeout_s)
        places = [TopicPartition(topic, number) for number in range(count)]
        return {place: committed.get(place) for place in places}

    async def close(self) -> None:
        await self._startup.cancel()
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._producer.stop()
