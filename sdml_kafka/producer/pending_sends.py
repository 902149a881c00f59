"""The records that wait for their acknowledgements, each settled exactly once.

How this works. A record that is given to the outbox stands in the table until it has its outcome:
the broker's answer, its deadline, or a caller that waits no more. Whichever comes first removes it
from the table; the others find it settled, and change nothing. A record that is settled and has
not gone out is dropped on the way.

Records with the same timeout are due in the order in which they came, so a table for each timeout
in use needs no sorting, and a record costs one entry in a dictionary.

Rules for whoever edits this file:

- Nothing here awaits between a look at a record and settling it. `is_waiting` alone is called by
  the producer's thread as well, and only looks.
- Whoever waits for room is woken for each record that leaves.
"""

from collections import Counter
from collections.abc import Callable
from logging import WARNING
from math import inf

from attrs import define, frozen

from sdml_kafka.errors import ClientClosed, SendFailed
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime.wait_queue import WaitQueue
from sdml_kafka.runtime.waiter import Waiter, wake
from sdml_kafka.transport.interfaces import Message

MAX_RESENDS = 5
"""How often a record that never went out is sent again; after that it fails."""


@frozen
class Sent:
    """A record that the broker has acknowledged, and its place."""

    topic: str
    partition: int
    """The number of the partition, from 0."""
    offset: int
    """The offset in the partition; -1 if the broker was not asked for it (`acks=0`)."""
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
        "_resends",
        "_sends",
        "_sent",
        "_waiters",
        "due",
        "settled",
        "timeout_s",
        "topic",
    )

    def __init__(self, topic: str, sends: "PendingSends", timeout_s: float, due: float) -> None:
        """Use `KafkaProducer.send_soon`, which makes these."""
        self.topic: str = topic
        """The topic that the record is sent to."""
        self.timeout_s: float = timeout_s
        self.due: float = due
        """When the record fails without an answer, by the event loop's clock."""
        self.settled: bool = False
        self._sends = sends
        self._message: Message | None = None
        self._resends = 0
        self._waiters: list[Waiter] = []
        self._error: Exception | None = None
        self._sent: tuple[int, int, int | None] = (0, -1, None)

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
        while not self.settled:
            waiter = self._sends.new_waiter()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        if self._error is not None:
            raise self._error
        assert self._message is not None
        partition, offset, broker_ms = self._sent
        own_ms = self._message.timestamp_ms or 0
        return Sent(self.topic, partition, offset, own_ms if broker_ms is None else broker_ms)

    def is_waiting(self) -> bool:
        """Return whether the record has no outcome yet, so that it is worth sending."""
        return not self.settled

    def send(self, message: Message) -> None:
        """Send the record, of which this is the receipt."""
        self._message = message
        self._sends.outbox.send(message, self.on_sent, self.is_waiting)

    def acknowledged(self, partition: int, offset: int, timestamp_ms: int | None) -> None:
        """Take the record's place."""
        self._sent = partition, offset, timestamp_ms

    def on_sent(self, error: Exception | None) -> None:
        """Take the broker's answer; a record that has not gone out is sent again."""
        if self.settled:
            return
        if type(error) is SendFailed and not error.in_doubt and self._resends < MAX_RESENDS:
            assert self._message is not None
            self._resends += 1
            self._sends.outbox.send(self._message, self.on_sent, self.is_waiting)
        else:
            self._sends.settle(self, error)

    def forsake(self, error: Exception) -> None:
        """Note the outcome in a forked process."""
        self.settled, self._error = True, error

    def take_outcome(self, error: Exception | None) -> bool:
        """Note the outcome; return whether somebody waits for it."""
        self.settled, self._error = True, error
        if self._message is not None:  # which refers to this receipt: a cycle
            self._message = self._message._replace(receipt=None, value=None)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            wake(waiter)
        return bool(waiters)


class PendingSends:
    """All records of a producer that wait for their acknowledgements."""

    def __init__(self, outbox: Outbox, max_waiting: int, log: RateLimitedLog) -> None:
        """Begin without records.

        Args:
            outbox: Sends the records.
            max_waiting: The number of records that may wait.
            log: Where failures are logged that nobody waits for.
        """
        self.counts: Counts = Counts()
        self.waiting: int = 0
        """The number of records that wait."""
        self.new_waiter: Callable[[], Waiter]
        self.outbox: Outbox = outbox
        self._max_waiting = max_waiting
        self._log = log
        self._by_timeout: dict[float, dict[PendingSend, None]] = {}
        self._room = WaitQueue()
        self._all_settled: list[Waiter] = []
        self._refusal: Exception | None = None

    def open(self, new_waiter: Callable[[], Waiter]) -> None:
        """Take records on the event loop that runs here."""
        self.new_waiter = new_waiter

    async def wait_for_room(self) -> None:
        """Wait until one more record may wait.

        Raises:
            ClientClosed: The producer was left.
        """
        while self.waiting >= self._max_waiting and self._refusal is None:
            await self._room.wait()
        if self._refusal is not None:
            raise self._refusal

    def has_room(self) -> bool:
        """Return whether one more record may wait, which a producer that was left never has."""
        return self.waiting < self._max_waiting and self._refusal is None

    def begin(self, topic: str, timeout_s: float, now: float) -> PendingSend:
        """Let a record wait from now on, that is about to be sent."""
        pending = PendingSend(topic, self, timeout_s, now + timeout_s)
        table = self._by_timeout.get(timeout_s)
        if table is None:
            table = self._by_timeout[timeout_s] = {}
        table[pending] = None
        self.waiting += 1
        return pending

    def settle(self, pending: PendingSend, error: Exception | None) -> None:
        """Give a record its outcome, and wake whoever waits for it."""
        self._remove(pending)
        if error is None:
            self.counts.sent += 1
            pending.take_outcome(None)
            return
        self.counts.failed += 1
        if not pending.take_outcome(error):
            topic = pending.topic
            text = "a record for %r was not sent, and nobody waits for it: %s"
            self._log.log(WARNING, f"not sent {topic}", text, topic, error)

    def forget(self, pending: PendingSend) -> None:
        """End a record without an outcome, since its caller waits no more."""
        if not pending.settled:
            pending.settled = True
            self._remove(pending)

    def _remove(self, pending: PendingSend) -> None:
        table = self._by_timeout[pending.timeout_s]
        del table[pending]
        if not table:
            del self._by_timeout[pending.timeout_s]
        self.waiting -= 1
        if self._room:
            self._room.wake_one()
        if not self.waiting and self._all_settled:
            waiters, self._all_settled = self._all_settled, []
            for waiter in waiters:
                wake(waiter)

    def expire(self, now: float) -> float:
        """Fail the records whose time is over; return when the next one is due, or `inf`."""
        for table in list(self._by_timeout.values()):
            for pending in list(table):
                if pending.due > now:
                    break
                self.settle(pending, _timeout(pending))
        return min((next(iter(table)).due for table in self._by_timeout.values()), default=inf)

    async def wait_settled(self) -> None:
        """Wait until no record waits."""
        while self.waiting:
            waiter = self.new_waiter()
            self._all_settled.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._all_settled:
                    self._all_settled.remove(waiter)

    def refuse(self, error: ClientClosed) -> None:
        """Take no more records, and let nobody wait for room."""
        self._refusal = error
        self._room.wake_all()

    def close(self) -> Counter[str]:
        """Fail what still waits; return how many records that were, by topic."""
        topics = Counter[str]()
        for table in list(self._by_timeout.values()):
            for pending in list(table):
                topics[pending.topic] += 1
                text = f"The record for {pending.topic!r} was not acknowledged before the "
                self.settle(pending, SendFailed(f"{text}producer was left", in_doubt=True))
        return topics

    def forsake(self, error: Exception) -> None:
        """Give every record this error and wake nobody: the tasks are another process's."""
        self._refusal = error
        for table in self._by_timeout.values():
            for pending in table:
                pending.forsake(error)


def _timeout(pending: PendingSend) -> SendFailed:
    return SendFailed(
        f"The record for {pending.topic!r} was not acknowledged within "
        f"{pending.timeout_s:g} s. Is the broker there, and fast enough?",
        in_doubt=True,
    )
