"""The port's producer over librdkafka.

A producer is made when it is started, since librdkafka has to know then whether a broker may create
topics. `sending.py` sends, and `admin.py` asks about topics and groups.
"""

import threading
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic

import anyio
from confluent_kafka import KafkaError

from sdml_kafka.errors import ProducerFailed, SdmlKafkaError, SendFailed
from sdml_kafka.transport.interfaces.producer import (
    ConnectProducer,
    Message,
    OnSent,
    Producer,
    always,
)
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.connection_failures import Failure
from sdml_kafka.transport.librdkafka.lost_brokers import is_answered
from sdml_kafka.transport.librdkafka.options import Settings
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer.admin import Admin
from sdml_kafka.transport.librdkafka.producer.outcomes import report_error
from sdml_kafka.transport.librdkafka.producer.sending import Sending
from sdml_kafka.transport.librdkafka.token_waits import made_apart

CLOSED = "the producer is closed"
CLOSE_TIMEOUT_S = 2.0
PURGE_TIMEOUT_S = 1.0
LOOK_INTERVAL_S = 1.0
"""Seconds between two looks for a broker, while none can be reached."""
PULSE_INTERVAL_S = 3.0
"""Seconds after which a broker is asked for something, if no record has had its outcome."""
PULSE_TIMEOUT_S = 4.0
"""Seconds that a broker may take to answer that."""


def connect_producer(settings: Settings) -> ConnectProducer:
    """Return the port's `ConnectProducer` over producers with this configuration."""

    @asynccontextmanager
    async def open_producer() -> AsyncGenerator[Producer]:
        producer = LibrdkafkaProducer(settings)
        try:
            yield producer
        finally:
            await producer.close(CLOSE_TIMEOUT_S)

    return open_producer


class LibrdkafkaProducer:
    """Sends records over librdkafka, in the program's thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = ProgramLoop()
        self._admin: Admin | None = None
        self._sending: Sending | None = None
        self._is_up = False
        self.unreachable: Mapping[str, str] = {}
        self._is_asking = False
        self._settled = 0
        self._pulse_at = 0.0
        self._closing = False
        self._failure: SdmlKafkaError | None = None
        self._failed = anyio.Event()

    @property
    def connected(self) -> bool:
        return self._is_up

    @property
    def waiting(self) -> int:
        return 0 if self._sending is None else self._sending.waiting

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        settings = {**self._settings, "allow.auto.create.topics": creates_topics}
        make_admin = partial(Admin, self._loop, settings, self._note_outage)
        self._admin = admin = await made_apart(settings, make_admin)
        parts = self._loop, settings, self._take_error
        make = partial(Sending, *parts, creates_topics=creates_topics)
        self._sending = sending = await made_apart(settings, make)
        await admin.find_broker(timeout_s)
        self._is_up = True
        self.send = sending.send  # type: ignore[method-assign]  # which saves a call for each record

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        # Until the producer is started: from then on `Sending.send` takes the place of this.
        error = SendFailed("The record was not sent: the producer is not started.")
        self._loop.call_soon(partial(report_error, (message, on_sent, is_wanted), error))

    async def flush(self, timeout_s: float) -> bool:
        return self._sending is None or await self._sending.flush(timeout_s)

    # -- health --------------------------------------------------------------------------

    async def watch(self) -> None:
        while not self._failed.is_set():
            with anyio.move_on_after(LOOK_INTERVAL_S):
                await self._failed.wait()
            self._look()
        assert self._failure is not None
        raise self._failure

    def _fail(self, failure: SdmlKafkaError) -> None:
        if self._failure is None:
            self._failure = failure
            self._failed.set()

    def _take_error(self, error: KafkaError) -> None:
        if (failure := Failure.of(error)) is not None:
            protocol = str(self._settings.get("security.protocol", "plaintext"))
            self.unreachable = failure.by_broker(protocol)
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._fail(error_mapping.from_fatal(error))
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._note_outage()

    def _note_outage(self) -> None:
        self._is_up = False

    def _look(self) -> None:
        """See whether brokers are there, unless they are asked at the moment."""
        if self._admin is None or self._sending is None or self._closing or self._is_asking:
            return
        self._admin.poll()
        if not self._is_up:
            self._look_anew()
        elif self._settled != self._sending.settled:
            self._settled, self._pulse_at = self._sending.settled, monotonic() + PULSE_INTERVAL_S
        elif monotonic() >= self._pulse_at:
            self._pulse_at, self._is_asking = monotonic() + PULSE_INTERVAL_S, True
            self._admin.ask(PULSE_TIMEOUT_S, self._take_pulse)

    def _look_anew(self) -> None:
        """Ask by a client that is made for it, since those that there are may have no brokers."""

        def look() -> None:
            answered = is_answered(self._settings)
            self._loop.call_soon(partial(self._take_look, answered))

        self._is_asking = True
        threading.Thread(target=look, name="sdml-kafka-look", daemon=True).start()

    def _take_look(self, answered: bool) -> None:
        self._is_asking, self._is_up = False, answered and not self._closing
        if self._is_up and self._admin is not None:
            self._admin.renew()

    def _take_pulse(self, answered: bool) -> None:
        self._is_asking = False
        if not answered:
            self._look_anew()  # another broker may answer

    # -- topics and groups ---------------------------------------------------------------

    async def create_topic(
        self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float
    ) -> bool:
        return await self._started_admin().create_topic(topic, partitions, config, timeout_s)

    async def delete_topic(self, topic: str, timeout_s: float) -> None:
        if self._sending is not None:
            self._sending.forget(topic)
        await self._started_admin().delete_topic(topic, timeout_s)

    async def partition_counts(
        self, topics: Collection[str], timeout_s: float
    ) -> Mapping[str, int]:
        return await self._started_admin().partition_counts(topics, timeout_s)

    async def live_members(self, group_id: str, timeout_s: float) -> int:
        return await self._started_admin().live_members(group_id, timeout_s)

    def _started_admin(self) -> Admin:
        if self._admin is None:
            raise SendFailed("Nothing was asked: the producer is not started, or closed.")
        return self._admin

    # -- close ---------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> None:
        if self._closing:
            return
        self._closing = True
        self._fail(ProducerFailed(CLOSED))
        with anyio.CancelScope(shield=True):  # each step is bounded
            if (sending := self._sending) is not None:
                sending.refuse(CLOSED)
                await sending.flush(timeout_s / 2)
                sending.give_up()
                await sending.flush(PURGE_TIMEOUT_S)
                await sending.stop(timeout_s / 2)
        self._is_up = False
        if self._admin is not None:
            self._admin.close()
            self._admin = None
