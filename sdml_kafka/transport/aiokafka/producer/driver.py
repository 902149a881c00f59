# pyright: basic
# aiokafka is not typed.
"""The driver: owns one aiokafka producer, on the asyncio side. All of it runs in one loop."""

import asyncio
from contextlib import suppress
from logging import getLogger
from typing import Any

from aiokafka import AIOKafkaProducer

from sdml_kafka.errors import BrokerUnreachable, ConfigurationError, ProducerFailed
from sdml_kafka.transport.aiokafka import client as private_client
from sdml_kafka.transport.aiokafka.log_filter import ErrorLines
from sdml_kafka.transport.aiokafka.outcome import error_of
from sdml_kafka.transport.aiokafka.producer import internals as private
from sdml_kafka.transport.aiokafka.producer.admin import Admin
from sdml_kafka.transport.aiokafka.producer.sending import Sends, Told
from sdml_kafka.transport.aiokafka.start_failure import (
    HINT,
    checked_producer,
    producer_start_failure,
)

HEALTH_INTERVAL_S = 0.5
MAX_MISSES = 2
CLOSED = "the producer is closed"

_log = getLogger("sdml_kafka.transport")


class ProducerDriver:
    def __init__(self, producer: object, told: Told) -> None:
        self._producer = checked_producer(producer)
        self._loop = asyncio.get_running_loop()
        self._requests = private.watch_requests(self._producer)
        self.sends: Sends = Sends(self._producer, told, self._fail)
        self.admin: Admin = Admin(self._producer)
        self._misses = MAX_MISSES
        self._failure: asyncio.Future[ProducerFailed] = self._loop.create_future()
        self._starting: asyncio.Task[None] | None = None
        self._health: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self, timeout_s: float, *, creates_topics: bool) -> None:
        with ErrorLines() as lines:
            self._starting = starting = self._loop.create_task(private_client.start(self._producer))
            done, _ = await asyncio.wait({starting}, timeout=timeout_s)
            if not done:
                raise BrokerUnreachable(f"No broker answered within {timeout_s:g} s. {HINT}")
            if (error := error_of(starting)) is not None:
                raise producer_start_failure(error, lines) from error
        self._misses = 0
        self.sends.open(creates_topics=creates_topics)
        self._health = self._loop.create_task(self._watch_health())

    # -- health --------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Any thread may ask."""
        return self._misses < MAX_MISSES or any(private.connections(self._producer))

    async def watch(self) -> None:
        await asyncio.wait({self._failure})
        raise self._failure.result()

    def _fail(self, failure: ProducerFailed) -> None:
        if not self._failure.done():
            self._failure.set_result(failure)

    async def _watch_health(self) -> None:
        while True:
            try:
                self._look_at_health()
            except Exception:
                _log.exception("looking at the producer's health failed")
            await asyncio.sleep(HEALTH_INTERVAL_S)

    def _look_at_health(self) -> None:
        if (why := private.dead_task(self._producer)) is not None:
            self._fail(ProducerFailed(why))
        if any(private.connections(self._producer)):
            self._misses = 0
        else:
            # An idle producer may have let go of its connections: see whether it gets one.
            self._misses += 1
            self._producer.client.force_metadata_update()
        self.sends.sweep()

    # -- close ---------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> None:
        if self._closing:
            return
        self._closing = True
        self._fail(ProducerFailed(CLOSED))
        self.sends.refuse(CLOSED)
        await self.sends.flush(timeout_s / 2)
        await self.sends.give_up_waiting()
        started = [task for task in (self._health, self._starting) if task is not None]
        for task in started:
            task.cancel()  # a start that is left alone would start tasks on a closed producer
        if started:
            await asyncio.wait(started, timeout=1.0)
        stopping = self._loop.create_task(self._producer.stop())
        await asyncio.wait({stopping}, timeout=timeout_s / 2)
        self.sends.give_up_all()
        if not stopping.done():
            stopping.cancel()
        finishing = self._loop.create_task(private.finish_stop(self._producer, self._requests))
        await asyncio.wait({stopping, finishing}, timeout=1.0)
        for task in (stopping, finishing):
            if task.done():
                error_of(task)
        self._misses = MAX_MISSES


async def producer_driver_of(producer: Any, told: Told) -> ProducerDriver:
    """Raises ConfigurationError for what a factory must not return."""
    try:
        return ProducerDriver(producer, told)
    except ConfigurationError:
        if isinstance(producer, AIOKafkaProducer) and not private.in_use(producer):
            with suppress(Exception):
                await producer.stop()  # nobody else will, and it complains when dropped open
        raise
