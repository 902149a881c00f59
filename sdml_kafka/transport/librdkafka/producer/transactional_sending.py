"""Send the records of one transaction after another.

A record that fails spoils its transaction, and with it all others fail. Which one was to blame is
known of those that the client refuses, or whose topic is missing. The broker refuses batches: with
several records in them nobody knows, and they are sent anew, each in a batch of its own.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import anyio
from confluent_kafka import KafkaError, Message, Producer

from sdml_kafka.errors import SendFailed
from sdml_kafka.transport.interfaces.producer import Message as Record
from sdml_kafka.transport.interfaces.producer import OnSent, always
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer.delivery_reports import Entry, Report
from sdml_kafka.transport.librdkafka.producer.sending import Sending

ABOUT_BATCHES = error_mapping.ABOUT_RECORDS | {KafkaError._INVALID_DIFFERENT_RECORD}


class OnFailed:
    """Takes a record's failure; a success is nobody's news."""

    __slots__ = ("_on_failed",)

    def __init__(self, on_failed: Callable[[Exception], None]) -> None:
        self._on_failed = on_failed

    def __call__(self, error: Exception | None) -> None:
        if error is not None:
            self._on_failed(error)

    @staticmethod
    def all_acknowledged(those: Sequence["OnFailed"]) -> None:
        """Take records that the broker has."""


class TransactionalSending(Sending):
    """Takes the records of a producer of transactions."""

    def __init__(
        self,
        loop: ProgramLoop,
        settings: dict[str, Any],
        take_error: Callable[[KafkaError], None],
        *,
        creates_topics: bool,
        alone: bool = False,
    ) -> None:
        """Make the client, which begins to connect.

        Args:
            loop: The program's loop.
            settings: The configuration.
            take_error: Called with each error of the client.
            creates_topics: Whether records may create topics.
            alone: Whether each record goes in a batch of its own.
        """
        if alone:
            settings = {**settings, "batch.num.messages": 1}
        super().__init__(loop, settings, take_error, creates_topics=creates_topics, rests=True)
        self.is_alone: bool = alone
        self.fault: Exception | None = None
        """The error of a record of this transaction that was not taken, None if all were."""
        self.is_to_blame: bool = False
        """True if it is known which record that was."""
        self.was_refused: bool = False
        """True if the broker has refused a batch. The client then counts batches wrong, so that the
        next transaction would fail as well."""
        self.began_at: float | None = None
        """The time at which the transaction got its first record, None if it has none."""

    def send(
        self, message: Record, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        if self.began_at is None:
            self.began_at = monotonic()
        was_idle = self._taken == self._settled
        super().send(message, on_sent, is_wanted)
        if was_idle:
            self._rounds.current.wake()

    def _take(self, reports: Sequence[Report]) -> None:
        acknowledged: list[tuple[Entry, Message]] = []
        for entry, error, message in reports:
            if error is None:
                acknowledged.append((entry, message))
                continue
            self.was_refused = self.was_refused or error.code() in ABOUT_BATCHES
            if error.code() in ABOUT_BATCHES and not self.is_alone:
                text = f"The record for {entry[0].topic!r} was not taken: its batch was refused"
                self._report(entry, SendFailed(f"{text} ({error_mapping.shown(error)})."))
            else:
                if error.code() in error_mapping.NO_TOPIC:
                    self._topics.pop(entry[0].topic, None)
                self._report(entry, self._error(error, entry[0].topic))
        self._acknowledged(acknowledged)

    def _report(self, entry: Entry, error: Exception) -> None:
        is_to_blame = type(error) is not SendFailed
        if self.fault is None or (is_to_blame and not self.is_to_blame):
            self.fault, self.is_to_blame = error, is_to_blame
        super()._report(entry, error)
        self._all_settled.set()

    async def wait_settled(self, timeout_s: float) -> bool:
        """Wait until each record has its outcome, or one has failed; return whether so in time.

        What is on its way behind a record that has failed may have no outcome before the abort.
        """
        with anyio.move_on_after(timeout_s):
            while not self._is_settled() and self.fault is None:
                self._all_settled = anyio.Event()
                await self._all_settled.wait()
        return self._is_settled() or self.fault is not None

    def drop(self) -> None:
        """Fail the records that librdkafka has not got, or the next transaction would get them."""
        entries = list(self._waiting)
        self._waiting.clear()
        for group in self._sought.values():
            entries.extend(group)
            group.clear()
        for entry in entries:
            text = f"The record for {entry[0].topic!r} was not sent: its transaction was aborted."
            self._report(entry, SendFailed(text))

    def begin(self) -> None:
        """Forget the last transaction."""
        self.fault, self.is_to_blame, self.was_refused = None, False, False
        self.began_at = None

    async def call(self, command: Callable[[Producer], None]) -> None:
        """Call the client in its thread; see `ReportingProducer.call`."""
        await self._rounds.current.call(command)
