"""A listener on a real broker, and a task that reads its stream."""

from typing import Any

import anyio

from sdml_kafka import KafkaListener, ParserSpec, parse_text
from sdml_kafka.testing import EmbeddedKafka
from tests.support.clients import arguments
from tests.support.kafka_from_outside import unique
from tests.support.waiting import until


def texts(*topics: str) -> list[ParserSpec[str]]:
    return [{"topics": topics, "type": str, "parser": parse_text}]


class Reader:
    """Reads a stream to its end in a task of its own, and remembers what finished, in order."""

    def __init__(self, listener: KafkaListener) -> None:
        self.listener = listener
        self.seen: list[str] = []
        self._grew = anyio.Event()

    async def read(self) -> None:
        async for value in await self.listener.subscribe(str):
            self.seen.append(value)
            self._grew.set()

    async def has_seen(self, count: int) -> None:
        while len(self.seen) < count:
            self._grew = anyio.Event()
            await self._grew.wait()

    async def has_seen_all(self, values: set[str], *others: "Reader") -> None:
        """Wait until this reader and the others have seen all of these values between them."""
        seen = [self.seen, *(other.seen for other in others)]
        await until(lambda: values <= set().union(*seen), within_s=120.0)


def listener_on(kafka: EmbeddedKafka, *topics: str, **options: Any) -> KafkaListener:
    """Return a listener on the client of this test; the options are aiokafka's."""
    given = {"group_id": unique("group"), "auto_offset_reset": "earliest", **options}
    return KafkaListener(
        texts(*topics), **arguments(bootstrap_servers=kafka.bootstrap_servers, **given)
    )


async def read(listener: KafkaListener, count: int) -> list[str]:
    seen: list[str] = []
    with anyio.fail_after(30):
        async for delivery in (await listener.subscribe(str)).deliveries():
            delivery.done()
            seen.append(delivery.value)
            if len(seen) == count:
                break
    return seen
