"""What the listener's tests on a real broker have in common: a producer that keeps on sending
from a thread of its own, and a look at a group's commits from outside."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import anyio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sdml_kafka import KafkaListener, ParserSpec, parse_text


def unique(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


def texts(*topics: str) -> list[ParserSpec[str]]:
    return [{"topics": topics, "type": str, "parser": parse_text}]


async def on_asyncio[T](work: Coroutine[Any, Any, T]) -> T:
    """Run it on an asyncio loop of its own: aiokafka needs one, the test may run on trio."""
    return await anyio.to_thread.run_sync(asyncio.run, work)


async def create_topic(
    bootstrap: str, name: str, partitions: int = 4, *, login: Mapping[str, str] | None = None
) -> str:
    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **(login or {}))
        await admin.start()
        await admin.create_topics([NewTopic(name, partitions, 1)])
        await admin.close()

    await on_asyncio(create())
    return name


async def topics_of(bootstrap: str) -> set[str]:
    async def ask() -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            return set(await admin.list_topics())
        finally:
            await admin.close()

    return await on_asyncio(ask())


async def delete_topic(bootstrap: str, name: str) -> None:
    """The broker has forgotten it when this returns."""

    async def delete() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([name])
            while name in await admin.list_topics():
                pass
        finally:
            await admin.close()

    await on_asyncio(delete())


async def produce(
    bootstrap: str,
    topic: str,
    values: Iterable[str],
    *,
    login: Mapping[str, str] | None = None,
    **where: Any,
) -> None:
    async def send_all() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, **(login or {})) as producer:
            for value in values:
                await producer.send(topic, value.encode(), **where)
            await producer.flush()

    await on_asyncio(send_all())


async def committed(bootstrap: str, group: str) -> dict[tuple[str, int], int]:
    async def ask() -> dict[tuple[str, int], int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        return {(tp.topic, tp.partition): entry.offset for tp, entry in offsets.items()}

    return await on_asyncio(ask())


async def until(condition: Callable[[], object]) -> None:
    """For what nobody tells: that a broker is seen to be away, say."""
    while not condition():  # noqa: ASYNC110
        await anyio.sleep(0.02)


class Load:
    """Sends numbered texts until it is stopped. `sent` holds those that the broker acknowledged."""

    def __init__(self, bootstrap: str, topic: str, per_s: float = 500.0) -> None:
        self.sent: list[str] = []
        self._bootstrap, self._topic, self._per_s = bootstrap, topic, per_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        # Idempotent: it sends on through a broker's restart, each record once. Once its batches are
        # full it waits for the broker so long, which a JVM that starts on a slow machine needs.
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, enable_idempotence=True, request_timeout_ms=60_000
        )
        await producer.start()
        pending: list[tuple[str, asyncio.Future[Any]]] = []
        number = 0
        while not self._stop.is_set():
            for _ in range(max(1, int(self._per_s / 50))):
                value = str(number)
                pending.append((value, await producer.send(self._topic, value.encode())))
                number += 1
            await asyncio.sleep(0.02)
        await producer.flush()
        await producer.stop()
        self.sent.extend(value for value, future in pending if future.exception() is None)

    async def finish(self) -> set[str]:
        """Stop sending; what was sent."""
        self._stop.set()
        await anyio.to_thread.run_sync(self._thread.join)
        return set(self.sent)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._stop.set()


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
        """Until it and the others have seen all of them between them."""
        await until(lambda: values <= set(self.seen).union(*(other.seen for other in others)))
