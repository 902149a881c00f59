"""The outbox, where records wait to be sent, and the sender, the actor that owns the producer."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from logging import WARNING, getLogger
from typing import Protocol

import anyio

from sdml_kafka.errors import BrokerUnreachable, SendFailed
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.transport.connect_retry import connected
from sdml_kafka.transport.interfaces.producer import (
    ConnectProducer,
    Message,
    OnSent,
    Producer,
    ProducerSpent,
    always,
)

MIN_REPLACE_S = 0.5
"""Seconds between two producers, at least, of which the first was replaced because it was spent."""

_log = getLogger("sdml_kafka.transport")


class _Send(Protocol):
    def __call__(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None: ...


_Waiting = tuple[Message, OnSent, Callable[[], bool]]


class Outgoing(Protocol):
    """Takes records to be sent: an `Outbox`, or what has hooks take part first."""

    @property
    def send(self) -> _Send:
        """Sends a record, as `Producer.send` does."""
        ...


class Outbox:
    """Takes records at any time: while there is no producer they wait for the next one."""

    def __init__(self) -> None:
        self.send: _Send = self._keep
        """Sends a record, as `Producer.send` does; after `close` it fails with SendFailed.

        It is the producer's own function while there is one, which saves a call for each record."""
        self.producer: Producer | None = None
        """The producer of the sender's present life, None between two lives."""
        self._waiting: deque[_Waiting] = deque()
        self._again: deque[_Waiting] = deque()
        """The records that a former producer has not sent, which go before the others."""
        self._closed = False
        self._on_need: Callable[[], None] | None = None

    async def wait_needed(self) -> None:
        """Wait until a record waits for a producer. For the sender alone."""
        needed = anyio.Event()
        self._on_need = needed.set
        if not (self._again or self._waiting):
            await needed.wait()

    @property
    def connected(self) -> bool:
        """True if there is a producer, and it has a connection to a broker."""
        producer = self.producer  # other threads may ask
        return producer is not None and producer.connected

    @property
    def waiting(self) -> int:
        """The number of records that were given to `send` and have no outcome yet."""
        producer = self.producer  # other threads may ask
        kept = len(self._again) + len(self._waiting)
        return kept + (0 if producer is None else producer.waiting)

    @property
    def unreachable(self) -> Mapping[str, str]:
        """The brokers that were not reached lately, with the address and the reason of each."""
        producer = self.producer  # other threads may ask
        return {} if producer is None else producer.unreachable

    def _keep(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        if self._closed:
            on_sent(SendFailed("the client was left"))
        else:
            self._wait(self._waiting, (message, on_sent, is_wanted))

    def send_again(self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool]) -> None:
        """Send a record that has not gone out; with no producer, before those that came since."""
        if self.producer is None and not self._closed:
            self._wait(self._again, (message, on_sent, is_wanted))
        else:
            self.send(message, on_sent, is_wanted)

    def _wait(self, line: deque[_Waiting], entry: _Waiting) -> None:
        line.append(entry)
        if self._on_need is not None:
            self._on_need()

    def note_failed(self, error: Exception) -> None:
        """Note that whoever has sent a record takes it for lost."""

    @contextmanager
    def sending_with(self, producer: Producer) -> Generator[None]:
        """Send through `producer` inside the context, first what waits. For the sender alone."""
        self.producer, self.send = producer, producer.send
        try:
            for message, on_sent, is_wanted in self._taken():
                producer.send(message, on_sent, is_wanted)
            yield
        finally:
            self.producer, self.send = None, self._keep

    def close(self) -> None:
        """Fail what waits, since no further producer will come."""
        self._closed = True
        for _, on_sent, _ in self._taken():
            on_sent(SendFailed("the client was left before the record could be sent"))

    def _taken(self) -> Iterator[_Waiting]:
        """Take out what waits and is still wanted, in the order in which it is to be sent."""
        for waiting in self._again, self._waiting:
            while waiting:
                entry = waiting.popleft()
                if entry[2]():
                    yield entry


class Sender(Actor):
    """Owns the producer of an outbox. Each restart gets a new producer.

    A producer of which one partition takes no more records is replaced within the same life: what
    the broker has refused to one caller must not count as a crash, which could end all the others.
    """

    def __init__(
        self,
        connect: ConnectProducer,
        outbox: Outbox,
        start_timeout_s: float,
        *,
        creates_topics: bool,
        on_demand: bool = False,
    ) -> None:
        """Connect nothing yet.

        Args:
            connect: Makes the producer.
            outbox: Sends through the producer as long as this life lasts.
            start_timeout_s: Seconds that the producer may take to connect.
            creates_topics: Whether the broker may create a topic that a record names.
            on_demand: Whether to connect only once there is something to send.
        """
        self._connect = connect
        self._outbox = outbox
        self._start_timeout_s = start_timeout_s
        self._creates_topics = creates_topics
        self._on_demand = on_demand
        self._limited_log = RateLimitedLog(_log)

    async def run(self, life: Life) -> None:
        """Live until a producer fails, and replace those that are spent."""
        with life.cancel_on_stop():
            if self._on_demand:
                life.started()
                await self._outbox.wait_needed()
            while True:
                began = anyio.current_time()
                try:
                    await self._send_with_one_producer(life, began + self._start_timeout_s)
                except BrokerUnreachable as reason:
                    if not self._on_demand:
                        raise
                    # Whoever reads meanwhile must not be ended by it, since reading goes on.
                    text = "the producer does not connect, and tries again: %s"
                    extra = fields(error=reason)
                    self._limited_log.log(WARNING, "unreachable", text, reason, extra=extra)
                except ProducerSpent as reason:
                    text, extra = "the producer is replaced: %s", fields(error=reason)
                    self._limited_log.log(WARNING, "spent", text, reason, extra=extra)
                await anyio.sleep_until(began + MIN_REPLACE_S)

    async def _send_with_one_producer(self, life: Life, deadline: float) -> None:
        async with connected(self._connect, self._start, deadline) as producer:
            with self._outbox.sending_with(producer):
                life.started()
                await producer.watch()

    async def _start(self, producer: Producer, left_s: float) -> None:
        await producer.start(left_s, creates_topics=self._creates_topics)
