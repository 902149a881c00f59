"""The client of the demo: a KafkaRPC, and tasks that make one call after the other."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

from sdml_kafka import CallTimeout, KafkaRPC, SdmlKafkaError
from sdml_kafka.cli.demo.answering import price_of
from sdml_kafka.cli.demo.calls import TIMED_OUT, CallBook, Latencies
from sdml_kafka.cli.demo.part import Part
from sdml_kafka.cli.demo.story import Story
from sdml_kafka.runtime import ActorSnapshot

CALLERS = 8
PAUSE_S = 0.02
CALL_TIMEOUT_S = 8.0


class Client(Part):
    _there = "calls"

    def __init__(
        self,
        name: str,
        servers: str,
        topic: str,
        book: CallBook,
        story: Story,
        on_failure: Callable[[Exception], None],
    ) -> None:
        super().__init__(name, on_failure)
        self._servers = servers
        self._topic = topic
        self._book = book
        self._story = story
        self._rpc: KafkaRPC | None = None
        self._begun = anyio.Event()
        self.latencies: Latencies = Latencies()

    def begin(self) -> None:
        """Make calls, until it leaves."""
        self._begun.set()

    @asynccontextmanager
    async def _present(self) -> AsyncGenerator[None]:
        try:
            # Left in reverse: the calls in flight settle first.
            async with self._new_rpc() as rpc, anyio.create_task_group() as callers:
                for number in range(CALLERS):
                    callers.start_soon(self._make_calls, rpc, number)
                yield
        finally:
            self._rpc = None

    def _new_rpc(self) -> KafkaRPC:
        self._rpc = KafkaRPC(
            bootstrap_servers=self._servers,
            on_event=lambda event: self._story.tell_event(self.name, event),
        )
        return self._rpc

    async def _make_calls(self, rpc: KafkaRPC, number: int) -> None:
        await self._begun.wait()
        count = 0
        while not self._leaving.is_set():
            count += 1
            await self._call(rpc, f"order {number}-{count}")
            await anyio.sleep(PAUSE_S)

    async def _call(self, rpc: KafkaRPC, question: str) -> None:
        since_s, value = self._story.now_s(), question.encode()
        self._book.made()
        try:
            reply = await rpc.request(
                self._topic, value, res_timeout=CALL_TIMEOUT_S, res_expect_type=bytes
            )
        except SdmlKafkaError as error:
            outcome = (
                TIMED_OUT
                if isinstance(error, CallTimeout)
                else f"ended with {type(error).__name__}"
            )
            self._book.failed(outcome, since_s, self._story.now_s())
            return
        now_s = self._story.now_s()
        self.latencies.note(now_s, now_s - since_s)
        self._book.replied(question, reply, price_of(value))

    def _tree(self) -> ActorSnapshot | None:
        return None if self._rpc is None else self._rpc.status().tree

    def _partition_count(self) -> int:
        return 0 if self._rpc is None else len(self._rpc.status().reply_partitions)
