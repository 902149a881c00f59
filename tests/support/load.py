"""A producer that sends numbered texts from a thread of its own until it is stopped."""

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

import anyio
from aiokafka import AIOKafkaProducer


class Load:
    """Sends numbered texts until it is stopped; `sent` holds the acknowledged ones."""

    def __init__(self, bootstrap: str, topic: str, per_s: float = 500.0) -> None:
        self.sent: list[str] = []
        self._bootstrap, self._topic, self._per_s = bootstrap, topic, per_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        # Idempotence sends each record once, also over a broker's restart. A producer whose
        # batches are full waits for the broker as long as a JVM may take to start.
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
        """Stop sending, and return the texts that the broker acknowledged."""
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
