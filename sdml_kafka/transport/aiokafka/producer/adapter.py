"""The port's producer over aiokafka: the program's side of it.

The driver owns the producer on the asyncio side. What a call costs is decided here and in
`sending.py`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from logging import getLogger
from typing import Any

import anyio

from sdml_kafka.errors import SendFailed
from sdml_kafka.log_fields import fields
from sdml_kafka.transport.aiokafka.client import CLOSE_TIMEOUT_S
from sdml_kafka.transport.aiokafka.log_filter import limited_logs, own_context
from sdml_kafka.transport.aiokafka.option_values import made_by
from sdml_kafka.transport.aiokafka.producer.driver import CLOSED, ProducerDriver, build_driver
from sdml_kafka.transport.aiokafka.producer.partition_queues import Entry
from sdml_kafka.transport.asyncio_loop import Home, open_home
from sdml_kafka.transport.interfaces.producer import (
    ConnectProducer,
    Message,
    OnSent,
    Producer,
    ProducerFactory,
    always,
)
from sdml_kafka.transport.rules.outcome_callbacks import report_together
from sdml_kafka.transport.thread_handoff import ThreadHandoff

Outcome = tuple[Sequence[Entry], Exception | None, Any]

LOG_APPEND_TIME = 1
"""The type of a timestamp that the broker has set."""

_log = getLogger("sdml_kafka.transport")


def connect_producer(producer_factory: ProducerFactory) -> ConnectProducer:
    """Return the port's `ConnectProducer` over producers of aiokafka.

    `producer_factory` is called for each of them, where an asyncio loop runs (on trio as well).
    What it returns must not be started.
    """

    @asynccontextmanager
    async def open_producer() -> AsyncGenerator[Producer]:
        with limited_logs():
            async with open_home() as home:
                home.call_soon(own_context)  # a thread of its own has a context of its own
                producer: AiokafkaProducer = (
                    AiokafkaProducer(home) if home.is_running_loop else CrossingProducer(home)
                )
                try:
                    await producer.build(producer_factory)
                    yield producer
                finally:
                    await producer.close(CLOSE_TIMEOUT_S)

    return open_producer


def report(entries: Sequence[Entry], error: Exception | None, acknowledged: Any = None) -> None:
    if error is None and entries and hasattr(entries[0][1], "all_acknowledged"):
        callbacks: list[Any] = [entry[1] for entry in entries]
        if len(set(map(type, callbacks))) == 1:
            report_together(callbacks)
            return
    of_batch, first, timestamp_ms = _place(acknowledged)
    for index, (message, on_sent, _) in enumerate(entries):
        try:
            if error is None and (receipt := message.receipt) is not None:
                partition = (message.partition or 0) if of_batch is None else of_batch
                receipt.acknowledged(partition, first + index if first >= 0 else -1, timestamp_ms)
            on_sent(error)
        except Exception as failure:
            text = "a callback for the outcome of a record must not raise"
            _log.exception(text, extra=fields(topic=message.topic, error=failure))


def _place(batch: Any) -> tuple[int | None, int, int | None]:
    """Return the partition, the first offset and the broker's time of a batch, as far as known."""
    if batch is None:  # acks=0
        return None, -1, None
    timestamp_ms = batch.timestamp if batch.timestamp_type == LOG_APPEND_TIME else None
    return batch.partition, batch.offset, timestamp_ms


class AiokafkaProducer:
    """Calls the driver, which is on the program's own loop."""

    _driver: ProducerDriver

    def __init__(self, home: Home) -> None:
        self._home = home
        self._built: list[ProducerDriver] = []
        self._closed = False

    async def build(self, producer_factory: ProducerFactory) -> None:
        """Build the driver. If this is cancelled it may exist all the same: `close` finds it."""

        async def build() -> None:
            producer = made_by(producer_factory, "producer_factory")
            driver = await build_driver(producer, self._report_outcome)
            self._built.append(driver)

        await self._home.call(build)
        (self._driver,) = self._built

    def _report_outcome(
        self, entries: Sequence[Entry], error: Exception | None, acknowledged: Any
    ) -> None:
        report(entries, error, acknowledged)

    @property
    def connected(self) -> bool:
        return self._driver.connected

    @property
    def waiting(self) -> int:
        return self._driver.sending.waiting

    @property
    def unreachable(self) -> Mapping[str, str]:
        return self._driver.unreachable

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        self._driver.sending.send(message, on_sent, is_wanted)

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        start = partial(self._driver.start, timeout_s, creates_topics=creates_topics)
        await self._home.call(start)

    async def flush(self, timeout_s: float) -> bool:
        return await self._home.call(partial(self._driver.sending.flush, timeout_s))

    async def watch(self) -> None:
        await self._home.call(self._driver.watch)

    async def create_topic(
        self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float
    ) -> bool:
        create = partial(self._driver.admin.create_topic, topic, partitions, config, timeout_s)
        return await self._home.call(create)

    async def delete_topic(self, topic: str, timeout_s: float) -> None:
        await self._home.call(partial(self._driver.admin.delete_topic, topic, timeout_s))

    async def partition_counts(
        self, topics: Collection[str], timeout_s: float
    ) -> Mapping[str, int]:
        count = partial(self._driver.admin.partition_counts, topics, timeout_s)
        return await self._home.call(count)

    async def live_members(self, group_id: str, timeout_s: float) -> int:
        return await self._home.call(partial(self._driver.admin.live_members, group_id, timeout_s))

    async def close(self, timeout_s: float) -> None:
        async def close() -> None:
            for driver in self._built:
                await driver.close(timeout_s)

        # The driver keeps to the timeout; the shield lets it finish under a cancelled scope.
        with anyio.move_on_after(timeout_s + 4.0, shield=True):
            await self._home.call(close)
        self._closed = True


class CrossingProducer(AiokafkaProducer):
    """Calls the driver on another loop: records and outcomes cross together."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._outbox = ThreadHandoff[Entry](home.call_soon, lambda entry: self._send_there(*entry))
        self._outcomes = ThreadHandoff[Outcome](
            self._call_back_soon, lambda outcome: report(*outcome)
        )

    async def build(self, producer_factory: ProducerFactory) -> None:
        await super().build(producer_factory)
        self._send_there = self._driver.sending.send

    def _call_back_soon(self, function: Callable[[], object]) -> None:
        # Not at once: the program would take the first outcome of this turn while the second comes.
        asyncio.get_running_loop().call_soon(self._home.call_back, function)

    def _report_outcome(
        self, entries: Sequence[Entry], error: Exception | None, acknowledged: Any
    ) -> None:
        # A receipt asks for the place of its record in the batch, so none may be left out then.
        if error is None and not any(entry[0].receipt for entry in entries):
            entries = [entry for entry in entries if getattr(entry[1], "waits_for_ack", True)]
            if not entries:
                return
        self._outcomes.put((entries, error, acknowledged))

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        entry = (message, on_sent, is_wanted)
        if self._closed:  # the other side takes nothing any more
            error = SendFailed(f"The record was not sent: {CLOSED}.")
            self._home.call_back(lambda: report((entry,), error))
        else:
            self._outbox.put(entry)
