"""A producer of librdkafka and the thread that waits for its delivery reports.

How this works
--------------
librdkafka calls back for each record while it is polled, and takes the interpreter's lock for each
call. On a thread beside a program that computes, each of them would wait for that lock for 5 ms. So
the thread takes the first report alone: its callback raises, which ends the poll and leaves the
rest in the queue. The thread then passes the right to poll on to the program's loop, which has the
lock anyway, takes all that have come, and gives the right back.

Rules for whoever edits this file:

- Who has the right to poll has `_reports` and `_errors` as well: the thread from `_given_back` on,
  the program from `_take_over` on.
- A callback raises `_Enough` and nothing else, and nothing at all within a `call`, whose own
  outcome would be lost.
- The thread drops the last reference to the producer, since freeing a producer may block.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sdml_kafka.transport.interfaces.producer import Message as Record
from sdml_kafka.transport.interfaces.producer import OnSent
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.options import made, secrets_of
from sdml_kafka.transport.librdkafka.owner_thread import OwnerThread, ProgramLoop, ThreadEnded

TURN_S = 0.05
"""Seconds that a poll waits: there is no way to wake it."""
MAX_AT_ONCE = 1000
"""The number of reports that are taken at once, so that the program's loop goes on in between."""
LOOK_S = 1.0

Entry = tuple[Record, OnSent, Callable[[], bool]]
Report = tuple[Entry, KafkaError | None, Message]


class _Enough(Exception):
    """Ends a poll from within a callback."""


class ReportingProducer:
    """A producer whose delivery reports and errors come in the program's thread."""

    unasked: int = 0
    """The number of records that were acknowledged whose senders need not know."""
    reports_all: bool = False
    """True if those are reported as well."""

    def __init__(
        self,
        loop: ProgramLoop,
        settings: dict[str, Any],
        take: Callable[[Sequence[Report]], None],
        take_error: Callable[[KafkaError], None],
        take_silence: Callable[[], None],
        is_idle: Callable[[], bool] | None = None,
    ) -> None:
        """Make the producer, which begins to connect.

        Args:
            loop: The program's loop.
            settings: The configuration.
            take: Called in the program's thread with reports that have come.
            take_error: Called there with each error of the client.
            take_silence: Called there now and then while all is to be reported, and nothing comes.
            is_idle: Returns whether no report is to come, so that the thread need not poll.

        Raises:
            ConfigurationError: librdkafka refuses the configuration.
        """
        self._loop = loop
        self._take, self._take_error, self._take_silence = take, take_error, take_silence
        self._reports, self._errors, self._most = list[Report](), list[KafkaError](), 1
        self._is_idle, self._is_calling = is_idle, False
        self._given_back = threading.Lock()
        self._given_back.acquire()
        self._stopping = False
        settings = {**settings, "error_cb": self._note_error}
        self._producer: Producer | None = made(Producer, settings, ClientLog(secrets_of(settings)))
        self.produce: Callable[..., None] = self._producer.produce
        self.outstanding: Callable[[], int] = self._producer.__len__
        """Returns the number of records that have no outcome yet."""
        self._thread = OwnerThread(
            "sdml-kafka-producer", loop, self._turn, self._drop, self._note_failure
        )
        self._thread.start()

    # -- callbacks of librdkafka ---------------------------------------------------------

    def delivered(self, entry: Entry, error: KafkaError | None, message: Message) -> None:
        self._reports.append((entry, error, message))
        if len(self._reports) >= self._most:
            raise _Enough

    def delivered_unasked(self, entry: Entry, error: KafkaError | None, message: Message) -> None:
        """Count a record whose sender need not know that it was acknowledged."""
        if error is None and not self.reports_all:
            self.unasked += 1
        else:
            self.delivered(entry, error, message)

    def _note_error(self, error: KafkaError) -> None:
        self._errors.append(error)
        if not self._is_calling:
            raise _Enough

    # -- taking turns --------------------------------------------------------------------

    def _poll(self, timeout_s: float) -> bool:
        """Poll, and return whether more may have come than was taken."""
        producer = self._producer
        if producer is None:
            return False
        try:
            producer.poll(timeout_s)
        except _Enough:
            return True
        except KafkaException as error:  # a fatal error has no callback
            self._errors.append(error.args[0])
            return True
        return False

    def _turn(self) -> None:
        if not self._reports and not self._errors:
            if self._is_idle is not None and self._is_idle():
                self._thread.rest(TURN_S)
                self._poll(0)
            else:
                self._poll(TURN_S)
        if not self._reports and not self._errors:
            if self.reports_all:
                self._loop.call_soon(self._take_silence)
            return
        self._loop.call_soon(self._take_over)
        while not self._given_back.acquire(timeout=LOOK_S):
            if self._stopping:
                return

    def _take_over(self) -> None:
        self._most = MAX_AT_ONCE
        more = self._poll(0)
        self._most = 1
        reports, self._reports = self._reports, []
        errors, self._errors = self._errors, []
        if reports:
            self._take(reports)
        for error in errors:
            self._take_error(error)
        if more:
            self._loop.call_soon(self._take_over)
        else:
            self._given_back.release()

    def wake(self) -> None:
        """Let the thread poll: it has to be called after a record that ends `is_idle`."""
        self._thread.wake()

    async def call(self, command: Callable[[Producer], None]) -> None:
        """Have the thread call the producer, and raise what that raises.

        Raises:
            ThreadEnded: The producer has ended before that.
        """
        await self._thread.call(lambda: self._call(command))

    def _call(self, command: Callable[[Producer], None]) -> None:
        if (producer := self._producer) is None:
            raise ThreadEnded
        self._most, self._is_calling = sys.maxsize, True
        try:
            command(producer)
        finally:
            self._most, self._is_calling = 1, False

    def _note_failure(self, error: Exception) -> None:
        self._loop.call_soon(lambda: self._take_error(KafkaError(KafkaError._FATAL, repr(error))))

    def partitions(self, topic: str, timeout_s: float) -> int | KafkaError:
        """Ask a broker for the number of a topic's partitions. This blocks.

        Raises:
            KafkaException: There was no answer.
        """
        if (producer := self._producer) is None:
            raise KafkaException(KafkaError(KafkaError._DESTROY))
        found = producer.list_topics(topic, timeout_s).topics[topic]
        if found.error is not None:
            error: KafkaError = found.error
            return error
        return len(found.partitions) or KafkaError(KafkaError.LEADER_NOT_AVAILABLE)

    # -- the end -------------------------------------------------------------------------

    def purge(self) -> None:
        """Have a report made for each record that was not acknowledged."""
        if self._producer is not None:
            self._producer.purge()

    async def stop(self, timeout_s: float) -> None:
        """End the thread, and with it the producer."""
        self._stopping = True
        await self._thread.stop(timeout_s)

    def _drop(self) -> None:
        # The program may still take reports, if its loop had no time for that while this ended.
        self.outstanding, self.produce = int, _refuse
        self._producer = None


def _refuse(*_: object) -> None:
    raise KafkaException(KafkaError(KafkaError._DESTROY))
