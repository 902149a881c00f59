"""A server by hand on the in-memory twin: the test reads requests and writes replies itself."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from sdml_kafka import KafkaRPC, ParserSpec, parse_bytes, parse_json
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.consumer import Consumer
from sdml_kafka.transport.interfaces.records import Record
from sdml_kafka.transport.interfaces.transports import Transport

REQUEST, REPLY = "request", "reply"
PATIENCE_S = 60.0

RAW: ParserSpec[bytes] = {"topics": [REPLY], "type": bytes, "parser": parse_bytes}
JSON: ParserSpec[Any] = {"topics": [REPLY], "type": dict, "parser": parse_json}


def new_broker(**options: Any) -> MemoryBroker:
    return MemoryBroker({REQUEST: 2, REPLY: 2}, **options)


def client_on(
    broker: MemoryBroker,
    *,
    parsers: Sequence[ParserSpec[Any]] = (RAW,),
    group: str = "client",
    **options: Any,
) -> KafkaRPC:
    transport = Transport(broker.connect(group), broker.connect_producer())
    return KafkaRPC(parsers, transport=transport, **options)


class Hand:
    """The consumer and the producer of a server by hand."""

    def __init__(self, broker: MemoryBroker, consumer: Consumer) -> None:
        self._broker = broker
        self._consumer = consumer
        self._partitions: list[Any] = []
        self._waiting: list[Record] = []

    async def request(self) -> Record:
        """Return the next request."""
        with anyio.fail_after(PATIENCE_S):
            while not self._waiting:
                await self._poll()
        return self._waiting.pop(0)

    async def requests(self, count: int) -> list[Record]:
        return [await self.request() for _ in range(count)]

    async def join(self) -> None:
        with anyio.fail_after(PATIENCE_S):
            while not self._partitions:
                await self._poll()

    async def _poll(self) -> None:
        polled = await self._consumer.poll(self._partitions, 500, 1.0)
        if polled.assignment is not None:
            self._partitions = list(polled.assignment.positions)
        for batch in polled.records.values():
            self._waiting.extend(batch)

    def reply(
        self,
        request: Record,
        value: bytes = b"reply",
        *extra: tuple[str, bytes],
        headers: Sequence[tuple[str, bytes]] | None = None,
        key: bytes | None = None,
        topic: str = REPLY,
        partition: int | None = None,
    ) -> None:
        """Write a reply that echoes the id, or has the given headers alone."""
        if headers is None:
            headers = [(k, v) for k, v in request.headers if k in ("request_id", "x-own-id")]
        self._broker.produce(topic, value, headers=[*headers, *extra], key=key, partition=partition)


@asynccontextmanager
async def hand(broker: MemoryBroker, *topics: str) -> AsyncGenerator[Hand]:
    async with broker.connect("hand", auto_offset_reset="earliest")() as consumer:
        await consumer.start(topics or (REQUEST,), 10.0)
        yield (own := Hand(broker, consumer))
        del own
        await consumer.close(1.0)


class Outcome:
    """A call in a task of its own."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended = anyio.Event()
        self.scope = anyio.CancelScope()

    async def get(self) -> Any:
        with anyio.fail_after(PATIENCE_S):
            await self.ended.wait()
        if self.error is not None:
            raise self.error
        return self.value


class Callers:
    def __init__(self, rpc: KafkaRPC, tasks: "anyio.abc.TaskGroup") -> None:
        self._rpc = rpc
        self._tasks = tasks

    def call(self, value: bytes = b"value", topic: str = REQUEST, **options: Any) -> Outcome:
        outcome = Outcome()
        self._tasks.start_soon(self._run, outcome, topic, value, options)
        return outcome

    async def _run(self, outcome: Outcome, topic: str, value: bytes, options: Any) -> None:
        try:
            with outcome.scope:
                outcome.value = await self._rpc.request(topic, value, **options)
        except Exception as error:
            outcome.error = error
        finally:
            outcome.ended.set()


@asynccontextmanager
async def callers(rpc: KafkaRPC) -> AsyncGenerator[Callers]:
    async with anyio.create_task_group() as tasks:
        yield Callers(rpc, tasks)
        tasks.cancel_scope.cancel()


def answer_with_stream(
    server: Hand, request: Record, values: Sequence[bytes], *, first: int = 0, end: bool = True
) -> None:
    """Write the values as a stream of replies, numbered from `first`, with an end or without."""
    for number, value in enumerate(values, start=first):
        server.reply(request, value, ("x-sequence", b"%d" % number), partition=0)
    if end:
        number = first + len(values)
        server.reply(request, b"", ("x-sequence", b"%d" % number), ("x-end", b"1"), partition=0)
