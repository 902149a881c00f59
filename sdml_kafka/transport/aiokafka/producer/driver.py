# pyright: basic
# aiokafka is not typed.
"""The driver of one aiokafka producer: owns it on the asyncio side, and watches its health.

All of it runs in one loop. Records go through `sending`, requests about topics through `admin`.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from logging import getLogger
from typing import Any

from aiokafka import AIOKafkaProducer

from sdml_kafka.errors import ConfigurationError, ProducerFailed
from sdml_kafka.log_fields import fields
from sdml_kafka.transport.aiokafka.client import error_of
from sdml_kafka.transport.aiokafka.connecting import Connecting
from sdml_kafka.transport.aiokafka.producer import internals
from sdml_kafka.transport.aiokafka.producer.admin import Admin
from sdml_kafka.transport.aiokafka.producer.pulse import Pulse
from sdml_kafka.transport.aiokafka.producer.requests import ProduceRequests
from sdml_kafka.transport.aiokafka.producer.sending import ReportOutcome, Sending, spent
from sdml_kafka.transport.aiokafka.producer.startup import check_producer, explain_start
from sdml_kafka.transport.aiokafka.silent_connections import LOOK_INTERVAL_S, SilentConnections
from sdml_kafka.transport.aiokafka.startup import Startup

HEALTH_CHECK_INTERVAL_S = LOOK_INTERVAL_S
FINISH_TIMEOUT_S = 1.0
MAX_MISSES = 2
"""The number of checks without a connection after which no broker counts as reachable."""
CLOSED = "the producer is closed"

_log = getLogger("sdml_kafka.transport")


class ProducerDriver:
    def __init__(self, producer: object, report_outcome: ReportOutcome) -> None:
        self._producer = check_producer(producer)
        internals.look_at_failures(self._producer)
        self._loop = asyncio.get_running_loop()
        self._requests = ProduceRequests(
            self._producer, lambda partition, error: self._fail(spent(partition, error))
        )
        self.sending: Sending = Sending(self._producer, self._requests, report_outcome, self._fail)
        self.admin: Admin = Admin(self._producer)
        self._misses = MAX_MISSES
        self._failure: asyncio.Future[ProducerFailed] = self._loop.create_future()
        self._connecting = connecting = Connecting(self._producer.client)
        self.unreachable: Mapping[str, str] = {}
        """The brokers that were not reached lately, by their numbers; any thread may look."""
        self._startup = Startup(self._producer, connecting, explain_start)
        self._silent = SilentConnections(
            self._producer.client, repeats_produce=internals.is_idempotent(self._producer)
        )
        self._health_checks: asyncio.Task[None] | None = None
        self._pulse = Pulse(self._producer.client)
        self._closing = False

    async def start(self, timeout_s: float, *, creates_topics: bool) -> None:
        await self._startup.run(timeout_s)
        self._misses = 0
        self.sending.open(creates_topics=creates_topics)
        self._health_checks = self._loop.create_task(self._check_health_repeatedly())

    # -- health --------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """True if a broker can be reached. Any thread may ask."""
        return self._misses < MAX_MISSES or any(internals.connections(self._producer))

    async def watch(self) -> None:
        """Wait until this producer has to be replaced, then raise ProducerFailed."""
        await asyncio.wait({self._failure})
        raise self._failure.result()

    def _fail(self, failure: ProducerFailed) -> None:
        if not self._failure.done():
            self._failure.set_result(failure)

    async def _check_health_repeatedly(self) -> None:
        while True:
            try:
                self._check_health()
            except Exception as error:
                extra = fields(error=error)
                _log.exception("checking the producer's health failed", extra=extra)
            await asyncio.sleep(HEALTH_CHECK_INTERVAL_S)

    def _check_health(self) -> None:
        if (reason := internals.dead_task(self._producer)) is not None:
            self._fail(ProducerFailed(reason))
        if any(internals.connections(self._producer)):
            self._misses = 0
            self._pulse.look()
        else:
            # An idle producer may have closed its connections: see whether it gets one.
            self._misses += 1
            self.unreachable = self._connecting.unreachable()
            self._producer.client.force_metadata_update()
        self._silent.look()
        self.sending.sweep()

    # -- close ---------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> None:
        if self._closing:
            return
        self._closing = True
        self._fail(ProducerFailed(CLOSED))
        self.sending.refuse(CLOSED)
        await self.sending.flush(timeout_s / 2)
        await self.sending.fail_waiting()
        if self._health_checks is not None:
            self._health_checks.cancel()
        self._pulse.close()
        await self._startup.cancel()
        stopping = self._loop.create_task(self._producer.stop())
        await asyncio.wait({stopping}, timeout=timeout_s / 2)
        self.sending.fail_in_flight()
        if not stopping.done():
            stopping.cancel()
        finishing = self._loop.create_task(
            internals.finish_stop(self._producer, self._requests.running)
        )
        await asyncio.wait({stopping, finishing}, timeout=FINISH_TIMEOUT_S)
        for task in (stopping, finishing):
            if task.done():
                error_of(task)  # asyncio would log an error that nobody has looked at
        self._misses = MAX_MISSES


async def build_driver(producer: Any, report_outcome: ReportOutcome) -> ProducerDriver:
    """Return a driver of a producer that a user's factory returned.

    Raises:
        ConfigurationError: The producer cannot be used. It is closed, unless it was started.
    """
    try:
        return ProducerDriver(producer, report_outcome)
    except ConfigurationError:
        if isinstance(producer, AIOKafkaProducer) and not internals.in_use(producer):
            with suppress(Exception):
                # Nobody else will, and a producer that is dropped open logs an error.
                await producer.stop()
        raise
