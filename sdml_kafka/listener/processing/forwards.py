"""Records that are sent on before their own record counts as finished.

How this works. A forward is one message of a record: what its handler returned, a retry record or
a dead letter. It goes out through the listener's outbox, and until it is acknowledged its record is
in hand. What only waits for the broker is sent again. What the broker refuses fails the record if
the record may fail. A record that has nowhere else to go is held: its message is sent again after a
while, `status()` shows it, and a hand-over gives it back at once. A retry record or a dead letter
that is too large is first sent without what makes it larger than the record: the stack trace.
"""

from collections.abc import Callable
from logging import INFO, WARNING
from typing import Literal

from attrs import define, field, frozen

from sdml_kafka.errors import (
    AuthorizationFailed,
    ConfigurationError,
    PayloadTooLarge,
    RecordRefused,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.hooks.receipts import settle, without_receipt_of_hooks
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.spring_headers import Headers, shortened
from sdml_kafka.listener.processing.timetable import Timetable
from sdml_kafka.log_fields import record_fields
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.interfaces.producer import Message

REFUSALS = (
    TopicMissing,
    PayloadTooLarge,
    RecordRefused,
    AuthorizationFailed,
    ConfigurationError,
)
"""The errors of a record that the broker would refuse again."""
FIRST_WAIT_S = 0.5
"""Seconds before a record that was not taken is sent again; they double each time."""
LONGEST_WAIT_S = 15.0
"""The longest wait before a record is sent again, in seconds."""

Purpose = Literal["send", "retry", "dead letter"]
TakePart = Callable[[Message, Purpose, Job], Message]
"""Has hooks take part in the message of a record."""


@define(eq=False)
class Forward:
    """One message of a record on its way, and what follows."""

    job: Job
    """The record, or the first of several."""
    message: Message
    purpose: Purpose
    on_sent: Callable[[], None]
    """Called when the broker has acknowledged the message."""
    on_lost: Callable[[], None]
    """Called when the message is given up, and with it the record, which comes again."""
    on_refused: Callable[[Exception], None] | None = None
    """Called when the broker refuses the message; None holds the record instead."""
    fallback: Message | None = None
    """The message to send instead if the topic does not have the partition."""
    note: Callable[[], None] = lambda: None
    """Calls hooks for what `on_sent` does."""
    headers: Headers = ()
    """The headers of the message before hooks took part in it."""
    tries: int = field(default=0, init=False)
    held_since: float | None = field(default=None, init=False)
    why: str = field(default="", init=False)

    def lose(self, error: Exception | None = None) -> None:
        """Give the message up, and with it the record."""
        text = "the record that it belongs to was given back"
        settle(self.message, error or SendFailed(text, in_doubt=True))
        self.on_lost()

    def renew(self, take_part: TakePart) -> None:
        """Have hooks take part anew, since the transaction of the message was aborted."""
        message = without_receipt_of_hooks(self.message)._replace(headers=self.headers)
        self.message = message = take_part(message, self.purpose, self.job)
        if self.fallback is not None:
            self.fallback = message._replace(partition=self.fallback.partition)

    def shorten(self) -> bool:
        """Leave out the long headers of an error; return False if there is nothing to leave out."""
        if self.purpose == "send":
            return False
        headers = shortened(self.message.headers)
        is_shorter = headers != self.message.headers
        self.message = self.message._replace(headers=headers)
        self.headers = shortened(self.headers)
        return is_shorter


def forward_of(
    job: Job,
    topic: str,
    headers: Headers,
    purpose: Purpose,
    on_sent: Callable[[], None],
    on_lost: Callable[[], None],
    note: Callable[[], None],
    take_part: TakePart,
    *,
    to_same_partition: bool,
) -> Forward:
    """Return what sends a record to another topic, with its key and value and these headers.

    A partition that the topic does not have falls back on the key.
    """
    record = job.record
    message = take_part(Message(topic, record.value, record.key, headers), purpose, job)
    forward = Forward(job, message, purpose, on_sent, on_lost, note=note, headers=headers)
    if to_same_partition:
        forward.fallback = forward.message
        forward.message = forward.message._replace(partition=record.partition)
    return forward


@frozen
class Held:
    """A record that is held, since what has to be sent before it finishes cannot be sent."""

    topic: str
    partition: int
    offset: int
    to: str
    """The topic that does not take the message."""
    purpose: str
    """The purpose of the message: "send", "retry" or "dead letter"."""
    why: str
    """The last error."""
    for_s: float
    """Seconds since the first error."""


class Forwards:
    """Sends the messages of records until they are acknowledged, refused, or nobody wants them."""

    def __init__(
        self,
        outbox: Outbox,
        log: RateLimitedLog,
        clock: Callable[[], float],
        on_progress: Callable[[], None],
    ) -> None:
        """Begin with nothing to send.

        Args:
            outbox: Sends the messages.
            log: The listener's log.
            clock: The clock of the event loop.
            on_progress: Called after a record has gone on, so that others may begin.
        """
        self._outbox = outbox
        self._on_progress = on_progress
        self._is_closed = False
        self._log = log
        self._clock = clock
        self._held: set[Forward] = set()
        self._waiting: Timetable[Forward] = Timetable(self.send)

    async def run(self) -> None:
        """Send again what is held, until cancelled."""
        await self._waiting.run()

    def send(self, forward: Forward) -> None:
        """Send a message of a record that is in hand."""
        forward.tries += 1
        self._outbox.send(forward.message, lambda error: self._sent(forward, error))

    def _sent(self, forward: Forward, error: Exception | None) -> None:
        if error is None:
            if forward.held_since is not None:
                self._is_taken(forward)
            if forward.message.receipt is not None:
                settle(forward.message, None)
            forward.on_sent()
            self._on_progress()
        elif forward.fallback is not None and isinstance(error, ConfigurationError):
            forward.message, forward.fallback = forward.fallback, None
            self.send(forward)
        elif isinstance(error, PayloadTooLarge) and forward.shorten():
            self.send(forward)
        elif forward.on_refused is not None and isinstance(error, REFUSALS):
            self._let_go(forward)
            settle(forward.message, error)
            forward.on_refused(error)
            self._on_progress()
        elif forward.job.is_gone or self._is_closed:
            self._let_go(forward)
            forward.lose(error)
        else:
            self._hold(forward, error)

    def _hold(self, forward: Forward, error: Exception) -> None:
        now, topic, record = self._clock(), forward.message.topic, forward.job.record
        forward.why = str(error)
        if forward.held_since is None:
            forward.held_since = now
            self._held.add(forward)
            forward.job.keep_alone()
        text = "%r partition %d offset %d is held, since its %s is not taken by %r: %s"
        place = record.topic, record.partition, record.offset
        extra = record_fields(record, to_topic=topic, error=error)
        args = *place, forward.purpose, topic, error
        self._log.log(WARNING, f"held {topic}", text, *args, extra=extra)
        wait_s = min(FIRST_WAIT_S * 2 ** min(forward.tries - 1, 10), LONGEST_WAIT_S)
        self._waiting.add(now + wait_s, forward)

    def _is_taken(self, forward: Forward) -> None:
        """Log that what a record was held for is taken."""
        self._let_go(forward)
        assert forward.held_since is not None
        topic, record = forward.message.topic, forward.job.record
        seconds = self._clock() - forward.held_since
        text = "%r partition %d offset %d is held no longer: its %s is taken by %r, after %.0f s"
        args = record.topic, record.partition, record.offset, forward.purpose, topic, seconds
        extra = record_fields(record, to_topic=topic, seconds=seconds)
        self._log.log(INFO, f"taken {topic}", text, *args, extra=extra)

    def _let_go(self, forward: Forward) -> None:
        if forward in self._held:
            self._held.remove(forward)
            self._log.is_over(f"held {forward.message.topic}")

    def give_back_gone(self) -> None:
        """Give back what is held of partitions that were revoked."""
        for forward in self._waiting.take_if(lambda forward: forward.job.is_gone):
            self._let_go(forward)
            forward.lose()

    def close(self) -> None:
        """Give back what is held, and send nothing again."""
        self._is_closed = True
        for forward in list(self._held):
            self._let_go(forward)
        for forward in self._waiting.take_if(lambda forward: True):
            forward.lose()

    def held(self) -> list[Held]:
        """Return what is held now. Any thread may ask."""
        held = list(self._held)
        now = self._clock() if held else 0.0
        return [
            Held(
                forward.job.record.topic,
                forward.job.record.partition,
                forward.job.record.offset,
                forward.message.topic,
                forward.purpose,
                forward.why,
                now - (forward.held_since or now),
            )
            for forward in held
        ]
