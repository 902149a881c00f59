"""The client of the demo: a KafkaRPC, and tasks that make one call after the other."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio

from sdml_kafka import CallTimeout, KafkaRPC, SdmlKafkaError
from sdml_kafka.cli.demo.books.call_book import TIMED_OUT, CallBook
from sdml_kafka.cli.demo.books.latencies import Latencies
from sdml_kafka.cli.demo.clock import DemoClock
from sdml_kafka.cli.demo.event_log import EventLog
from sdml_kafka.cli.demo.participants.participant import Participant
from sdml_kafka.cli.demo.participants.pricing_server import price_of
from sdml_kafka.runtime import ActorSnapshot

CALLERS = 8
PAUSE_S = 0.02
CALL_TIMEOUT_S = 8.0


class PricingClient(Participant):
    _active_state = "calls"

    def __init__(
        self,
        name: str,
        servers: str,
        topic: str,
        book: CallBook,
        clock: DemoClock,
        log: EventLog,
        on_failure: Callable[[Exception], None],
        client: Mapping[str, Any],
    ) -> None:
        super().__init__(name, on_failure)
        self.latencies: Latencies = Latencies()
        self._servers = servers
        self._topic = topic
        self._book = book
        self._clock = clock
        self._log = log
        self._client = client
        self._rpc: KafkaRPC | None = None
        self._begun = anyio.Event()

    def begin(self) -> None:
        """Make calls from now on, until the client leaves."""
        self._begun.set()

    @asynccontextmanager
    async def _taking_part(self) -> AsyncGenerator[None]:
        try:
            # The callers are left first, so that the calls in flight settle.
            async with self._new_rpc() as rpc, anyio.create_task_group() as callers:
                for number in range(CALLERS):
                    callers.start_soon(self._make_calls, rpc, number)
                yield
        finally:
            self._rpc = None

    def _new_rpc(self) -> KafkaRPC:
        self._rpc = KafkaRPC(
            bootstrap_servers=self._servers,
            on_event=lambda event: self._log.add_actor_event(self.name, event),
            **self._client,
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
        since_s, value = self._clock.now_s(), question.encode()
        self._book.add_call()
        try:
            reply = await rpc.request(
                self._topic, value, res_timeout=CALL_TIMEOUT_S, res_expect_type=bytes
            )
        except SdmlKafkaError as error:
            is_timeout = isinstance(error, CallTimeout)
            outcome = TIMED_OUT if is_timeout else f"ended with {type(error).__name__}"
            self._book.add_failure(outcome, since_s, self._clock.now_s())
            return
        now_s = self._clock.now_s()
        self.latencies.add(now_s, now_s - since_s)
        self._book.add_reply(question, reply, price_of(value))

    def observed(self) -> KafkaRPC | None:
        return self._rpc

    def _tree(self) -> ActorSnapshot | None:
        return None if self._rpc is None else self._rpc.status().tree

    def _partition_count(self) -> int:
        return 0 if self._rpc is None else len(self._rpc.status().reply_partitions)
