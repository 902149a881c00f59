"""A listener on the in-memory twin, and loops over its streams."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from sdml_kafka import KafkaListener, ParserSpec, TopicPartition, TypeStream, parse_text
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.waiting import until

TOPIC, GROUP = "topic", "group"
P0, P1 = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
PATIENCE_S = 60.0

TEXTS: ParserSpec[str] = {"topics": [TOPIC], "type": str, "parser": parse_text}
CONNECT_OPTIONS = frozenset(
    {"session_timeout_s", "rebalance_timeout_s", "max_poll_interval_s", "auto_commit_interval_s"}
)


def broker_with(*values: str, partitions: int = 1) -> MemoryBroker:
    """Return a broker with one topic, and these texts in its first partition."""
    broker = MemoryBroker({TOPIC: partitions})
    fill(broker, values)
    return broker


def fill(
    broker: MemoryBroker, values: Iterable[object], partition: int = 0, topic: str = TOPIC
) -> None:
    for value in values:
        broker.produce(topic, str(value).encode(), partition=partition)


def listener_on(
    broker: MemoryBroker,
    *,
    parsers: Sequence[ParserSpec[Any]] = (TEXTS,),
    group: str = GROUP,
    auto_offset_reset: Any = "earliest",
    **options: Any,
) -> KafkaListener:
    to_connect = {name: options.pop(name) for name in CONNECT_OPTIONS & options.keys()}
    connect = broker.connect(group, auto_offset_reset=auto_offset_reset, **to_connect)
    return KafkaListener(parsers, transport=connect, **options)


async def take(stream: TypeStream[Any], count: int) -> list[Any]:
    """Finish and return the next `count` items; one more is delivered, and given back."""
    taken: list[Any] = []
    with anyio.fail_after(PATIENCE_S):
        async for value in stream:
            if len(taken) == count:
                break
            taken.append(value)
    return taken


async def take_last(stream: TypeStream[Any], count: int) -> list[Any]:
    """Finish and return the next `count` items, and ask for no more."""
    taken: list[Any] = []
    with anyio.fail_after(PATIENCE_S):
        async for delivery in stream.deliveries():
            taken.append(delivery.value)
            delivery.done()
            if len(taken) == count:
                break
    return taken


class Loop:
    """A loop over a stream in a task of its own: the items it saw, and how it ended."""

    def __init__(
        self, stream: TypeStream[Any], work: Callable[[Any], Awaitable[object]] | None = None
    ) -> None:
        self.seen: list[Any] = []
        self.error: BaseException | None = None
        self.ended = anyio.Event()
        self.scope = anyio.CancelScope()
        self._stream, self._work = stream, work

    async def run(self) -> None:
        try:
            with self.scope:
                async for value in self._stream:
                    self.seen.append(value)
                    if self._work is not None:
                        await self._work(value)
        except Exception as error:
            self.error = error
        finally:
            self.ended.set()

    async def has_seen(self, count: int) -> None:
        await until(lambda: len(self.seen) >= count)


@asynccontextmanager
async def loops(
    *streams: TypeStream[Any], work: Callable[[Any], Awaitable[object]] | None = None
) -> AsyncIterator[list[Loop]]:
    """Run a loop over each of the streams while the body runs."""
    async with anyio.create_task_group() as tasks:
        running = [Loop(stream, work) for stream in streams]
        for loop in running:
            tasks.start_soon(loop.run)
        yield running
        tasks.cancel_scope.cancel()


class Gate:
    """Work that waits until the gate is open, and remembers the values that arrived."""

    def __init__(self) -> None:
        self._open = anyio.Event()
        self.arrived: list[Any] = []

    async def __call__(self, value: object) -> None:
        self.arrived.append(value)
        await self._open.wait()

    def open(self) -> None:
        self._open.set()


def parsed_by(parser: Any, type_: Any = str) -> list[ParserSpec[Any]]:
    return [{"topics": [TOPIC], "type": type_, "parser": parser}]


def numbers_of(topic: str, times: int = 1) -> ParserSpec[Any]:
    return {
        "topics": [topic],
        "type": int,
        "parser": lambda record: times * int(record.value or b""),
    }
