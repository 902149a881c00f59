"""The records that wait for their acknowledgements, each settled exactly once.

How this works. A record that is given to the outbox stands in the table until it has its outcome:
the broker's answer, its deadline, or a caller that waits no more. Whichever comes first removes it
from the table; the others find it settled, and change nothing. A record that is settled and has
not gone out is dropped on the way.

Records with the same timeout are due in the order in which they came, so a table for each timeout
in use needs no sorting, and a record costs one entry in a dictionary. A flush begins new tables
(`cohorts.py`).

Rules for whoever edits this file:

- Nothing here awaits between a look at a record and settling it. `is_waiting` alone is called by
  the producer's thread as well, and only looks.
- Whoever waits for room is handed the place of a record that leaves, so that nobody who comes later
  takes it: records of a partition go out in the order of the calls.
"""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from logging import WARNING
from typing import NamedTuple

import anyio
from attrs import define

from sdml_kafka.errors import ClientClosed, SendFailed
from sdml_kafka.log_fields import fields
from sdml_kafka.producer.cohorts import Cohort, Cohorts
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime.wait_queue import WaitQueue
from sdml_kafka.runtime.waiter import Waiter, wake
from sdml_kafka.transport.interfaces.producer import Message

MAX_RESENDS = 5
"""How often a record that never went out is sent again; after that it fails."""


class Sent(NamedTuple):
    """A record that the broker has acknowledged, and its place."""

    topic: str
    partition: int
    """The number of the partition, from 0."""
    offset: int
    """The offset in the partition; -1 if the broker has not said it: of a repeat that it had, or
    to a producer of your own with `acks=0`."""
    timestamp_ms: int
    """Milliseconds since the epoch: the record's own time, or the broker's if the topic is set to
    that."""


@define
class Counts:
    """Numbers since the producer was entered."""

    sent: int = 0
    """The number of records that were acknowledged."""
    failed: int = 0
    """The number of records that were not."""


class PendingSend:
    """A record on its way: `await waiting.sent()` for its acknowledgement.

    Nobody has to wait for it: an error that nobody has waited for is logged.
    """

    __slots__ = (
        "_error",
        "_message",
        "_other_waiters",
        "_resends",
        "_sends",
        "_sent",
        "_table",
        "_waiter",
        "due",
        "settled",
        "timeout_s",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        sends: "PendingSends",
        table: "dict[PendingSend, None]",
        timeout_s: float,
        due: float,
    ) -> None:
        """Use `KafkaProducer.send_soon`, which makes these."""
        self.topic: str = topic
        """The topic that the record is sent to."""
        self.timeout_s: float = timeout_s
        self.due: float = due
        """When the record fails without an answer, by the event loop's clock."""
        self.settled: bool = False
        self._sends = sends
        self._table = table
        self._message: Message | None = None
        self._resends = 0
        self._waiter: Waiter | None = None
        self._other_waiters: tuple[Waiter, ...] = ()
        self._error: Exception | None = None
        self._sent: Sent | None = None

    async def sent(self) -> Sent:
        """Wait until the broker has acknowledged the record.

        A wait that is cancelled changes nothing: the record goes on.

        Returns:
            The place of the record.

        Raises:
            TopicMissing: The broker neither has the topic nor creates it.
            PayloadTooLarge: The client, the broker or the topic takes no record of that size.
            AuthorizationFailed: The broker does not let this client write to the topic.
            ConfigurationError: No broker could take the record.
            SendFailed: The record was not acknowledged in time, or not before the producer was
                left, or the broker refuses it. With `in_doubt` it may have arrived.
        """
        if not self.settled:
            waiter = self.new_waiter()
            try:
                await waiter
            except BaseException:
                if self._waiter is waiter:
                    self._waiter = None
                self._other_waiters = tuple(w for w in self._other_waiters if w is not waiter)
                raise
        return self.outcome()

    def new_waiter(self) -> Waiter:
        """Return what wakes the task that awaits it once the record has its outcome."""
        waiter = self._sends.new_waiter()
        if self._waiter is None:  # no container for the one that most records have
            self._waiter = waiter
        else:
            self._other_waiters += (waiter,)
        return waiter

    def outcome(self) -> Sent:
        """Return the place of a settled record, or raise its error."""
        if self._sent is not None:
            return self._sent
        assert self._error is not None
        raise self._error

    def is_waiting(self) -> bool:
        """Return whether the record has no outcome yet, so that it is worth sending."""
        return not self.settled

    def send(self, message: Message) -> None:
        """Send the record, of which this is the receipt."""
        self._message = message
        self._sends.outbox.send(message, self, self.is_waiting)

    def acknowledged(self, partition: int, offset: int, timestamp_ms: int | None) -> None:
        """Take the record's place, unless its caller was cancelled or its time was over before."""
        if (message := self._message) is None:
            return
        if timestamp_ms is None:
            timestamp_ms = message.timestamp_ms or 0
        self._sent = Sent(self.topic, partition, offset, timestamp_ms)

    def __call__(self, error: Exception | None) -> None:
        """Take the broker's answer; a record that has not gone out is sent again."""
        if self.settled:
            self._sends.late += error is None
            return
        if error is None:
            self._sends.counts.sent += 1
            self.end(None)
        elif type(error) is SendFailed and not error.in_doubt and self._resends < MAX_RESENDS:
            assert self._message is not None
            self._resends += 1
            self._sends.outbox.send_again(self._message, self, self.is_waiting)
        else:
            self._sends.fail(self, error)

    def forsake(self, error: Exception) -> None:
        """Note the outcome in a forked process."""
        self.settled, self._error = True, error

    def end(self, error: Exception | None) -> bool:
        """Note the outcome, and wait no more; return whether somebody waits for it."""
        self.settled, self._error = True, error
        self._message = None  # which refers to this receipt: a cycle
        waiter, others = self._waiter, self._other_waiters
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        for other in others:
            wake(other)
        del self._table[self]
        self._sends.one_has_left()
        return waiter is not None or bool(others)


class PendingSends:
    """All records of a producer that wait for their acknowledgements."""

    def __init__(
        self,
        outbox: Outbox,
        max_waiting: int,
        log: RateLimitedLog,
        make: "Callable[..., PendingSend] | None" = None,
        on_failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """Begin without records.

        Args:
            outbox: Sends the records.
            max_waiting: The number of records that may wait.
            log: Where failures are logged that nobody waits for.
            make: Makes a `PendingSend` of another kind than usual.
            on_failed: Called with the error of each record that fails.
        """
        self._make: Callable[..., PendingSend] = make or PendingSend
        self._on_failed = on_failed
        self.counts: Counts = Counts()
        self.waiting: int = 0
        """The number of records that wait."""
        self.timed_out: int = 0
        """The number of records that were not acknowledged in time."""
        self.late: int = 0
        """The number of records that were acknowledged when nobody waited for it any more."""
        self.new_waiter: Callable[[], Waiter]
        self.outbox: Outbox = outbox
        self._max_waiting = max_waiting
        self._log = log
        self.cohorts: Cohorts[PendingSend] = Cohorts()
        """The records that wait."""
        self._room = WaitQueue(on_lost=self._take_place)
        self._wait_for_room = 0
        self._handed = 0
        """The number of places that were handed to those who wait for room."""
        self._refusal: Exception | None = None
        self._preparing: set[anyio.CancelScope] = set()

    def open(self, new_waiter: Callable[[], Waiter]) -> None:
        """Take records on the event loop that runs here."""
        self.new_waiter = new_waiter

    async def wait_for_room(self) -> None:
        """Wait until one more record may wait.

        Raises:
            ClientClosed: The producer was left.
        """
        if self._refusal is None and not self.has_room():
            self._wait_for_room += 1
            try:
                await self._room.wait()
            finally:
                self._wait_for_room -= 1
            self._take_place()
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)  # it would grow with each raise

    def has_room(self) -> bool:
        """Return whether one more record may wait, which a producer that was left never has."""
        return self.waiting + self._handed < self._max_waiting and self._refusal is None

    def offer_room(self) -> None:
        """Hand the room that there is to those who wait, since somebody has not used it."""
        while self._wait_for_room and self.has_room() and self._room.wake_one():
            self._handed += 1

    def _take_place(self) -> None:
        self._handed -= 1

    @contextmanager
    def preparing(self, due: float) -> Generator[None]:
        """Cancel the body when it is due, or when the producer is left.

        Raises:
            ClientClosed: The producer was left.
        """
        with anyio.CancelScope(deadline=due) as scope:
            self._preparing.add(scope)
            try:
                yield
            finally:
                self._preparing.discard(scope)
        if scope.cancelled_caught and self._refusal is not None:
            raise self._refusal.with_traceback(None)

    def begin(
        self, topic: str, timeout_s: float, now: float, cohort: Cohort[PendingSend] | None
    ) -> PendingSend:
        """Let a record wait from now on, that is about to be sent.

        `cohort` is that of a call that has waited; see `Cohorts.joining`.
        """
        by_timeout = (cohort or self.cohorts.newest).by_timeout
        table = by_timeout.get(timeout_s)
        if table is None:
            table = by_timeout[timeout_s] = {}
        pending = self._make(topic, self, table, timeout_s, now + timeout_s)
        table[pending] = None
        self.waiting += 1
        return pending

    def fail(self, pending: PendingSend, error: Exception) -> None:
        """End a record with an error, which is logged if nobody waits for it."""
        self.counts.failed += 1
        self._on_failed(error)
        if not pending.end(error):
            topic = pending.topic
            text = "a record for %r was not sent, and nobody waits for it: %s"
            extra = fields(topic=topic, error=error)
            self._log.log(WARNING, f"not sent {topic}", text, topic, error, extra=extra)

    def one_has_left(self) -> None:
        """Count a record that waits no more, and wake whoever waits for that."""
        self.waiting -= 1
        if self._wait_for_room and self._room.wake_one():
            self._handed += 1
        if self.cohorts.older:
            self.cohorts.wake_flushes()

    def expire(self, now: float) -> None:
        """Fail the records whose time is over."""
        for cohort in self.cohorts:
            for timeout_s, table in list(cohort.by_timeout.items()):
                for pending in list(table):
                    if pending.due > now:
                        break
                    self.timed_out += 1
                    self.fail(pending, _timeout(pending))
                else:
                    del cohort.by_timeout[timeout_s]

    def _tables(self) -> list[dict[PendingSend, None]]:
        return [table for cohort in self.cohorts for table in cohort.by_timeout.values()]

    def waits_since(self) -> float | None:
        """Return when the oldest record that waits was sent, None if none waits."""
        oldest = [next(iter(table)) for table in self._tables() if table]
        return min((each.due - each.timeout_s for each in oldest), default=None)

    def refuse(self, error: ClientClosed) -> None:
        """Take no more records, and let nobody wait for room, or for what a serializer needs."""
        self._refusal = error
        self._handed += len(self._room)
        self._room.wake_all()
        for scope in self._preparing:
            scope.cancel()

    def close(self) -> Counter[str]:
        """Fail what still waits; return how many records that were, by topic."""
        topics = Counter[str]()
        for table in self._tables():
            for pending in list(table):
                topics[pending.topic] += 1
                text = f"The record for {pending.topic!r} was not acknowledged before the "
                self.fail(pending, SendFailed(f"{text}producer was left", in_doubt=True))
        return topics

    def forsake(self, error: Exception) -> None:
        """Give every record this error and wake nobody: the tasks are another process's."""
        self._refusal = error
        for table in self._tables():
            for pending in table:
                pending.forsake(error)


def _timeout(pending: PendingSend) -> SendFailed:
    return SendFailed(
        f"The record for {pending.topic!r} was not acknowledged within "
        f"{pending.timeout_s:g} s. Is the broker there, and fast enough?",
        in_doubt=True,
    )
