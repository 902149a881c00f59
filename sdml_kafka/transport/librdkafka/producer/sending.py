"""Send the records of one producer, from `send` until each has its outcome.

How this works
--------------
A record goes to librdkafka at once, in the program's thread: that costs a microsecond, and no lock
is waited for. librdkafka makes batches of what has come together while others are on their way.
What became of the records comes back many at a time (`delivery_reports.py`).

1. A topic that is not known yet is looked for (`topic_lookups.py`), and its records wait for that.
2. While others are on their way (`rounds.py`), and while librdkafka's queue is full, records wait
   in `_waiting`.
3. Records of a batch that the broker refuses because of single ones are sent again, after what was
   sent meanwhile. Those that may be to blame go alone, each in a batch of another producer.

Rules for whoever edits this file:

- All of it runs in the program's thread, and `send` never waits and never raises.
- Each record counts in `_taken`, and in `_settled` or `unasked` when it is reported or dropped.
- The order within a partition is that of the calls: nothing overtakes `_waiting` or a lookup.
- Whatever runs for each record is a hot path.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import anyio
from confluent_kafka import KafkaError, KafkaException, Message

from sdml_kafka.errors import AuthenticationFailed, SdmlKafkaError, SendFailed
from sdml_kafka.transport.interfaces.producer import Message as Record
from sdml_kafka.transport.interfaces.producer import OnSent, always
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.lost_brokers import LOST
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer.client_records import as_bytes, checked
from sdml_kafka.transport.librdkafka.producer.delivery_reports import (
    Entry,
    Report,
    ReportingProducer,
)
from sdml_kafka.transport.librdkafka.producer.lost_clients import LostClients
from sdml_kafka.transport.librdkafka.producer.outcomes import report_acknowledged, report_error
from sdml_kafka.transport.librdkafka.producer.rounds import MOST_HELD, Rounds
from sdml_kafka.transport.librdkafka.producer.topic_lookups import TopicLookups
from sdml_kafka.transport.record_checks import fault_of, no_such_partition, not_bytes

LOOK_S = 0.1
"""Seconds between two looks at what is not reported."""
FRESH_S = 0.4
"""Seconds within which no record gets too old: what the broker refuses then, it refuses again."""
MOST_TOGETHER = 64
"""The number of records of a round that go to one partition, where any will do (`rounds.py`)."""
BY_KEY = -1
"""The number of a partition that librdkafka chooses by the record's key."""
Partitions = tuple[int, Iterator[int]]
"""The number of a topic's partitions, and the next one for a record whose key does not decide."""


class Sending:
    """Takes the records of one producer, and reports what became of them."""

    def __init__(
        self,
        loop: ProgramLoop,
        settings: dict[str, Any],
        take_error: Callable[[KafkaError], None],
        *,
        creates_topics: bool,
        rests: bool = False,
    ) -> None:
        """Make the client, which begins to connect.

        Args:
            loop: The program's loop.
            settings: The configuration.
            take_error: Called with each error of the client.
            creates_topics: Whether records may create topics.
            rests: Whether the client's thread rests while no record is on its way.
        """
        self._taken = self._settled = 0
        self._loop = loop
        self._settings = settings
        self._take_error, self._creates_topics = take_error, creates_topics
        self._rests = rests
        self._single: ReportingProducer | None = None
        """Sends the records of batches that were refused, each in a batch of its own."""
        self._lookups = TopicLookups(loop, self._count, self._found, self._not_found)
        self._sought = self._lookups.waiting
        self._lost = LostClients(loop, settings, self._clients, self._all_topics, self._note_lost)
        self._topics: dict[str, Partitions] = {}
        self._waiting: deque[Entry] = deque()
        self._parts = self._left_of_part = 0
        """The parts of rounds that were given to one partition each, and what the last has left."""
        self._part: int | None = None
        """The number of such a part while it is handed over."""
        self._all_settled = anyio.Event()
        self._refusal: str | None = None
        self._rounds = Rounds(self._make, settings)  # the last, since its clients call back

    # -- taking records ------------------------------------------------------------------

    def send(
        self, message: Record, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        entry = (message, on_sent, is_wanted)
        self._taken += 1
        if self._refusal is not None:
            self._report_soon(entry, SendFailed(f"The record was not sent: {self._refusal}."))
        elif self._waiting:
            self._waiting.append(entry)
            if len(self._waiting) == MOST_HELD:
                self._send_waiting()
        elif self._rounds.is_busy:
            self._rounds.begin()
            self._waiting.append(entry)
            self._loop.call_next(self._send_waiting)
        elif self._rounds.current.outstanding() >= self._rounds.most and self._rounds.begin():
            self._waiting.append(entry)
        else:
            self._send(entry)

    def _send(self, entry: Entry) -> None:
        """Give a record to librdkafka, or to those that wait."""
        try:
            topic, value, key, headers, partition, by_key, timestamp_ms, receipt = entry[0]
            known = self._topics.get(topic)
            if known is None or topic in self._sought:
                self._look_up(entry)
                return
            if partition is None:
                partition = (
                    BY_KEY
                    if key is not None and by_key
                    else next(known[1])
                    if self._part is None
                    else self._part % known[0]
                )
            elif type(partition) is not int or not 0 <= partition < known[0]:
                self._look_up(entry)  # it was added lately, or is none
                return
            if value is not None and value.__class__ is not bytes:
                value = as_bytes(value)
            if key is not None and key.__class__ is not bytes:
                key = as_bytes(key)
            pairs = checked(headers) if headers else None
            client = self._rounds.current
            asked = receipt is not None or getattr(entry[1], "waits_for_ack", True)
            delivered = partial(client.delivered if asked else client.delivered_unasked, entry)
            # librdkafka takes a time of 0 for now.
            at_ms = 0 if timestamp_ms is None else timestamp_ms or 1
            client.produce(topic, value, key, partition, delivered, None, at_ms, pairs)
        except BufferError:  # librdkafka's queue is full
            if not self._waiting:
                self._rounds.begin()
            self._waiting.append(entry)
        except KafkaException as error:
            self._refused(entry, error.args[0])
        except Exception as error:
            why = not_bytes(str(entry[0].topic), f" ({type(error).__name__}: {error})")
            self._report_soon(entry, fault_of(entry[0]) or why)

    def _refused(self, entry: Entry, error: KafkaError) -> None:
        """Look again for a topic that is gone; report any other error."""
        topic = entry[0].topic
        if error.code() in error_mapping.NO_TOPIC or error.code() == KafkaError._UNKNOWN_PARTITION:
            self._topics.pop(topic, None)
            self._lookups.add(entry)
        else:
            self._report_soon(entry, self._error(error, topic))

    def _look_up(self, entry: Entry) -> None:
        if (fault := fault_of(entry[0])) is not None:
            self._report_soon(entry, fault)
        else:
            self._lookups.add(entry)

    # -- topics --------------------------------------------------------------------------

    def forget(self, topic: str) -> None:
        """Look for a topic again before the next record for it is sent."""
        self._topics.pop(topic, None)

    def _count(self, topic: str, timeout_s: float) -> int | KafkaError:
        """Ask for the number of a topic's partitions, in the thread of the lookups."""
        return self._rounds.current.partitions(topic, timeout_s)

    def _found(self, topic: str, count: int, entries: deque[Entry]) -> None:
        self._topics[topic] = count, cycle(range(count))
        found = list[Entry]()
        waits = bool(self._waiting)
        for entry in entries:
            partition = entry[0].partition
            if not entry[2]():
                self._count_settled(1)
            elif partition is not None and partition >= count:
                self._report(entry, no_such_partition(topic, partition, count))
            elif waits:
                found.append(entry)
            elif self._waiting:  # room that there is since then is for the first of these
                self._waiting.append(entry)
            else:
                self._send(entry)
        self._waiting.extendleft(reversed(found))  # what waits for the same topic came later

    def _not_found(self, topic: str, error: KafkaError, entries: deque[Entry]) -> None:
        self._topics.pop(topic, None)
        for entry in entries:
            self._report(entry, self._error(error, topic))

    # -- outcomes ------------------------------------------------------------------------

    def _take(self, reports: Sequence[Report]) -> None:
        """Take what became of records, and send those that wait for room."""
        acknowledged: list[tuple[Entry, Message]] = []
        for entry, error, message in reports:
            if error is None:
                acknowledged.append((entry, message))
            elif self._refusal is None and _may_be_taken_now(entry, error, message):
                self._send(entry)
            elif error.code() in error_mapping.ABOUT_RECORDS and self._refusal is None:
                self._send_alone(entry)
            else:
                if error.code() in error_mapping.NO_TOPIC:
                    self._topics.pop(entry[0].topic, None)
                self._report(entry, self._error(error, entry[0].topic))
        self._acknowledged(acknowledged)

    def _acknowledged(self, acknowledged: Sequence[tuple[Entry, Message]]) -> None:
        report_acknowledged(acknowledged)
        self._count_settled(len(acknowledged))
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Hand over the records that wait, if it is time to."""
        if not self._rounds.may_end(len(self._waiting)):
            return
        is_busy = self._rounds.is_busy
        if self._rounds.is_new:
            self._left_of_part = 0
        for _ in range(len(self._waiting)):
            if is_busy:
                if not self._left_of_part:
                    self._parts, self._left_of_part = self._parts + 1, MOST_TOGETHER
                self._part, self._left_of_part = self._parts, self._left_of_part - 1
            entry = self._waiting.popleft()
            if not entry[2]():
                self._count_settled(1)
                continue
            waiting = len(self._waiting)
            self._send(entry)
            if len(self._waiting) > waiting:  # still full: it is the last now, and was the first
                self._waiting.rotate(1)
                self._part = None
                return
        self._part = None
        self._rounds.end()

    def _send_alone(self, entry: Entry) -> None:
        """Send a record of a batch that was refused, which may be to blame for it or not."""
        topic, value, key, headers, partition, _, timestamp_ms, _ = entry[0]
        try:
            if self._single is None:
                self._single = self._make_single()
            self._single.produce(
                topic,
                value if value is None else bytes(value),
                key if key is None else bytes(key),
                BY_KEY if partition is None else partition,
                partial(self._single.delivered, entry),
                None,
                0 if timestamp_ms is None else timestamp_ms or 1,
                checked(headers),
            )
        except KafkaException as error:
            self._report(entry, self._error(error.args[0], topic))
        except (BufferError, AuthenticationFailed) as error:  # or it has got no token
            self._report(entry, SendFailed(f"The record for {topic!r} was not sent: {error}."))

    def _make_single(self) -> ReportingProducer:
        settings = {**self._settings, "batch.num.messages": 1}
        callbacks = self._take_single, self._note_error, self._send_waiting
        return ReportingProducer(self._loop, settings, *callbacks)

    def _take_single(self, reports: Sequence[Report]) -> None:
        for entry, error, message in reports:
            if error is None:
                continue
            if self._refusal is None and _may_be_taken_now(entry, error, message):
                self._send_alone(entry)
            else:
                self._report(entry, self._error(error, entry[0].topic))
        self._acknowledged([(entry, message) for entry, error, message in reports if error is None])

    def _error(self, error: KafkaError, topic: str) -> SdmlKafkaError:
        return error_mapping.from_send(error, topic, creates_topics=self._creates_topics)

    def _note_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._lost.look()
        self._take_error(error)

    def _all_topics(self) -> Sequence[str]:
        return [*self._topics, *self._sought]

    def _note_lost(self) -> None:
        self._take_error(KafkaError(KafkaError._FATAL, LOST))

    def _report_soon(self, entry: Entry, error: Exception) -> None:
        """Report an error later: the caller of `send` may not be ready for it yet."""
        self._loop.call_soon(partial(self._report, entry, error))

    def _report(self, entry: Entry, error: Exception) -> None:
        report_error(entry, error)
        self._count_settled(1)

    def _count_settled(self, count: int) -> None:
        self._settled += count
        if self._is_settled():
            self._all_settled.set()

    def _is_idle(self) -> bool:
        return self._taken == self._settled

    def _is_settled(self) -> bool:
        return self._taken == self._settled + self._rounds.unasked

    @property
    def settled(self) -> int:
        """The number of records that have their outcome."""
        return self._settled + self._rounds.unasked

    @property
    def waiting(self) -> int:
        """The number of records that have no outcome yet. Any thread may ask."""
        return max(0, self._taken - self.settled)

    async def flush(self, timeout_s: float) -> bool:
        self._rounds.report_all(is_flushing=True, is_holding=True)
        try:
            with anyio.move_on_after(timeout_s):
                while not self._is_settled():
                    self._all_settled = anyio.Event()
                    # The thread may have counted the last one just before it saw `reports_all`.
                    with anyio.move_on_after(LOOK_S):
                        await self._all_settled.wait()
        finally:
            self._rounds.report_all(is_flushing=False, is_holding=bool(self._waiting))
        return self._is_settled()

    # -- the end -------------------------------------------------------------------------

    def refuse(self, reason: str) -> None:
        """Fail each record that is given to `send` from now on."""
        self._refusal = reason

    def give_up(self) -> None:
        """Have an outcome made for each record that waits, or is on its way."""
        for entry in [*self._lookups.close(), *self._waiting]:
            error = f"The record for {entry[0].topic!r} was not sent: {self._refusal}."
            self._report(entry, SendFailed(error))
        self._waiting.clear()
        for client in self._clients():
            client.purge()

    async def stop(self, timeout_s: float) -> None:
        """Stop the threads; each record has its outcome by then."""
        self._lost.close()
        self._lookups.close()
        for client in self._clients():
            await client.stop(timeout_s)

    def _clients(self) -> Sequence[ReportingProducer]:
        clients = self._rounds.clients
        return clients if self._single is None else [*clients, self._single]

    def _make(self, settings: dict[str, Any]) -> ReportingProducer:
        is_idle = self._is_idle if self._rests else None
        callbacks = self._take, self._note_error, self._send_waiting, is_idle
        return ReportingProducer(self._loop, settings, *callbacks)


def _may_be_taken_now(entry: Entry, error: KafkaError, message: Message) -> bool:
    """Return whether a record that was refused is to be sent once more, as it is.

    Another one of its batch was to blame, or it got too old while it waited for the broker.
    """
    if error.code() == KafkaError._INVALID_DIFFERENT_RECORD:
        return True
    if error.code() != KafkaError.INVALID_TIMESTAMP or entry[0].timestamp_ms is not None:
        return False
    return (message.latency() or 0.0) > FRESH_S and entry[2]()
