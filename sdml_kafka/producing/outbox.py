"""The sender: owns the producer, and replaces it when it dies."""

from collections import deque
from collections.abc import Callable

import anyio

from sdml_kafka.errors import SendFailed
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.transport.connect_retry import connected
from sdml_kafka.transport.interfaces import ConnectProducer, Message, OnSent, Producer, always


class Outbox:
    """Takes records at any time: while there is no producer they wait for the next one."""

    def __init__(self) -> None:
        self.producer: Producer | None = None
        self._waiting: deque[tuple[Message, OnSent, Callable[[], bool]]] = deque()
        self._closed = False

    @property
    def connected(self) -> bool:
        return self.producer is not None and self.producer.connected

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        """As the port's; after `close` it is told as SendFailed."""
        if self.producer is not None:
            self.producer.send(message, on_sent, is_wanted)
        elif self._closed:
            on_sent(SendFailed("the client was left"))
        else:
            self._waiting.append((message, on_sent, is_wanted))

    def open(self, producer: Producer) -> None:
        self.producer = producer
        while self._waiting:
            message, on_sent, is_wanted = self._waiting.popleft()
            if is_wanted():
                producer.send(message, on_sent, is_wanted)

    def close(self) -> None:
        """There will be no further producer."""
        self._closed = True
        while self._waiting:
            _, on_sent, is_wanted = self._waiting.popleft()
            if is_wanted():
                on_sent(SendFailed("the client was left before the record could be sent"))


class Sender(Actor):
    def __init__(
        self,
        connect: ConnectProducer,
        outbox: Outbox,
        start_timeout_s: float,
        *,
        creates_topics: bool,
    ) -> None:
        self._connect = connect
        self._outbox = outbox
        self._start_timeout_s = start_timeout_s
        self._creates_topics = creates_topics

    async def run(self, life: Life) -> None:
        deadline = anyio.current_time() + self._start_timeout_s
        with life.cancel_on_stop():
            async with connected(self._connect, self._start, deadline) as own:
                try:
                    self._outbox.open(own)
                    life.started()
                    await own.watch()
                finally:
                    self._outbox.producer = None

    async def _start(self, producer: Producer, left_s: float) -> None:
        await producer.start(left_s, creates_topics=self._creates_topics)
