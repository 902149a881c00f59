"""A processor with retry topics on the in-memory twin, and a handler that fails attempts."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from sdml_kafka import Delivery, KafkaListener, RetryTopics
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.processing_on_twin import processing_on

TOPICS = RetryTopics(5.0, 60.0)


class Attempts:
    """A handler that fails some attempts, and notes when each came and from where."""

    def __init__(self, fails: Callable[[str, int], bool] = lambda value, attempt: True) -> None:
        self.fails = fails
        self.seen: list[tuple[str, int]] = []
        self.topics: list[str] = []
        self.times: list[float] = []

    async def __call__(self, value: str, delivery: Delivery[str]) -> None:
        self.seen.append((value, delivery.attempt))
        self.topics.append(delivery.record.topic)
        self.times.append(anyio.current_time())
        if self.fails(value, delivery.attempt):
            raise ValueError(f"cannot do {value}")


def bad_fails(value: str, attempt: int) -> bool:
    return value.startswith("bad")


@asynccontextmanager
async def retrying(
    broker: MemoryBroker, handle: Callable[..., Any], retry: RetryTopics = TOPICS, **options: Any
) -> AsyncGenerator[KafkaListener]:
    """Enter a listener for which a processor with retry topics was declared."""
    listener = processing_on(broker)
    listener.processor(str, retry=retry, name="texts", **options)(handle)
    async with listener:
        yield listener
