# pyright: basic
# aiokafka is not typed.
"""Send the records of one producer, from `send` until each has its outcome.

How this works
--------------
Batches are built here and handed to aiokafka open, so that a record costs an append and a batch a
future. aiokafka's own `send` takes six times as long, and with many callers at a full batch each
of them wakes for every other.

A record takes one of these ways, in `_take`:

1. Its topic is not known, or the record is wrong: `TopicLookups` holds it, and later sends it
   through `_take` again or fails it.
2. It goes to the end of its partition's `waiting`.

`_flush` comes once a turn of the loop has brought no more records. For each partition with records
`_pump` moves them into the batch that is open there, or into a new one. If nothing else is queued
there, the new batch is queued at once; else an `admission` waits until aiokafka takes another one.
Then `ProduceRequests` sends what is queued.

`_on_settled` is called with each batch's outcome. It reports it for all records of the batch, or
splits a batch that the broker has refused because of single records, or makes a new one of a batch
whose timestamps have become too old. Those go before what is queued already. `sweep`, called now
and then by the driver, drops records that are not wanted any more and fails records for topics that
are gone.

Rules for whoever edits this file:

- All of it runs in one loop, and `send` never waits and never raises.
- Each record counts in `_unsettled` from `send` until it is reported or dropped, exactly once.
- The order within a partition is that of the calls: whatever is put back goes to the front of
  `waiting`, and nothing overtakes `waiting` or an `admission`.
- Whatever runs for each record is a hot path: no coroutine, no object, no further call.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from aiokafka.errors import KafkaTimeoutError, NotLeaderForPartitionError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from sdml_kafka.errors import ProducerFailed, SendFailed
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import Client, error_of
from sdml_kafka.transport.aiokafka.producer import internals
from sdml_kafka.transport.aiokafka.producer.metadata_refresh import MetadataRefresh
from sdml_kafka.transport.aiokafka.producer.partition_queues import (
    MAX_RECORDS,
    Entry,
    PartitionQueue,
    PartitionQueues,
)
from sdml_kafka.transport.aiokafka.producer.requests import ProduceRequests
from sdml_kafka.transport.aiokafka.producer.topic_lookups import TopicLookups
from sdml_kafka.transport.interfaces.producer import Message, OnSent, ProducerSpent, always

CANCEL_TIMEOUT_S = 0.5
MAX_TURNS = 4
"""The number of turns of the loop for which a batch waits while each turn brings more records. Many
records in one request cost each of them, and the broker, a part of what a few do."""
ENOUGH_RECORDS = 64
"""The number of records from which on a batch waits no longer: whoever gets them can begin while
the rest is made."""
FRESH_S = 1.0
"""Seconds within which no batch gets too old: what the broker refuses then, it refuses again."""

ReportOutcome = Callable[[Sequence[Entry], Exception | None, Any], None]
"""Called with records and their outcome: an error, or what the broker has acknowledged the batch
with (aiokafka's `RecordMetadata`, None if it was not asked to). It must not raise."""


class Sending:
    """Takes the records of one producer, and reports what became of them."""

    def __init__(
        self,
        producer: Client,
        requests: ProduceRequests,
        report_outcome: ReportOutcome,
        on_failure: Callable[[ProducerFailed], None],
    ) -> None:
        self._producer = producer
        self._requests = requests
        self._report_outcome = report_outcome
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._queued = internals.queued_batches(producer)
        self._max_request_size = internals.max_request_size(producer)
        self._queues = PartitionQueues(producer)
        self._refresh = MetadataRefresh(producer, self._queues)
        self._lookups = TopicLookups(
            producer, self._queues, self._refresh, self._take, self._report, self._count_settled
        )
        self._in_flight: dict[asyncio.Future[Any], Sequence[Entry]] = {}
        self._due: list[PartitionQueue] = []
        """The partitions with records for the next `_flush`."""
        self._taken = 0
        """How many records were taken so far."""
        self._flushed = 0
        """How many of them were there at the last `_flush`."""
        self._unsettled = 0
        self._all_settled: asyncio.Future[None] | None = None
        self._refusal: str | None = "the producer is not started"

    @property
    def waiting(self) -> int:
        """The number of records that have no outcome yet. Any thread may ask."""
        return self._unsettled

    # -- taking records ------------------------------------------------------------------

    def open(self, *, creates_topics: bool) -> None:
        if not creates_topics:
            self._refresh.never_create()
        self._refusal = None

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        entry = (message, on_sent, is_wanted)
        self._unsettled += 1
        if self._refusal is None:
            self._take(entry)
        else:
            self._report_soon((entry,), _not_sent(self._refusal))

    def _take(self, entry: Entry) -> None:
        try:
            topic, _, _, _, partition, _, _, _ = message = entry[0]
            lookups = self._lookups
            # A record whose topic is sought takes its turn in the lookups.
            if topic in lookups.topics or (
                lookups.partitions and (topic, partition) in lookups.partitions
            ):
                queue = None
            else:
                queue = self._queues.find(message)
            if queue is None:
                self._lookups.add(entry)
                return
        except Exception as error:
            self._report_soon((entry,), error_mapping.from_send(error, _topic_of(entry)))
            return
        self._taken += 1
        queue.waiting.append(entry)
        if not queue.is_due:  # a call less for most records
            self._pump_soon(queue)

    def _pump_soon(self, queue: PartitionQueue) -> None:
        """Move what waits for a partition into a batch, and send it, in one of the next turns."""
        if queue.is_due:
            return
        queue.is_due = True
        if not self._due:
            self._loop.call_soon(self._flush, self._taken, MAX_TURNS)
        self._due.append(queue)

    def _flush(self, taken: int, turns_left: int) -> None:
        """Send all records that wait, unless they are few and the last turn has brought more."""
        few = self._taken - self._flushed < ENOUGH_RECORDS
        if few and taken != self._taken and turns_left:
            self._loop.call_soon(self._flush, self._taken, turns_left - 1)
            return
        self._flushed = self._taken
        due, self._due = self._due, []
        for queue in due:
            queue.is_due = False
            if queue.admission is None:
                self._pump(queue)
        self._requests.send([queue.partition for queue in due])

    def _open_batch(self, queue: PartitionQueue, entry: Entry) -> bool:
        """Begin a batch with a record; return False if it is too large for any."""
        _, value, key, headers, _, _, timestamp_ms, _ = message = entry[0]
        pairs: Any = list(headers)
        size = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, pairs)
        if size > self._max_request_size:
            of = message.topic, size, self._max_request_size
            self._report_soon((entry,), error_mapping.larger_than_request(*of))
            return False
        builder = self._producer.create_batch()
        # The first record always has room.
        builder.append(timestamp=timestamp_ms, key=key, value=value, headers=pairs)
        queue.builder, queue.entries = builder, [entry]
        queue.opened_at = self._loop.time()
        if self._queued.get(queue.partition):
            topic, partition = queue.partition
            waiting = self._producer.send_batch(builder, topic, partition=partition)
            queue.admission = self._loop.create_task(waiting)
            queue.admission.add_done_callback(partial(self._on_admitted, queue, queue.entries))
        else:
            self._track(self._requests.queue(builder, queue.partition), queue, queue.entries)
        return True

    # -- batches -------------------------------------------------------------------------

    def _track(
        self, future: "asyncio.Future[Any]", queue: PartitionQueue, entries: Sequence[Entry]
    ) -> None:
        self._in_flight[future] = entries
        future.add_done_callback(partial(self._on_settled, queue, queue.opened_at))

    def _on_admitted(
        self, queue: PartitionQueue, entries: Sequence[Entry], admission: "asyncio.Task[Any]"
    ) -> None:
        queue.admission = None
        error = error_of(admission)
        if error is None:
            self._track(admission.result(), queue, entries)
        elif self._refusal is not None:
            self._report_soon(entries, _not_sent(self._refusal))
        elif isinstance(error, KafkaTimeoutError):  # there was no room in all that time
            queue.waiting.extendleft(reversed(entries))
        else:
            self._report_soon(entries, error_mapping.from_send(error, queue.partition.topic))
        self._pump_soon(queue)

    def _pump(self, queue: PartitionQueue) -> None:
        """Move waiting records into batches, as far as there is room."""
        queued = self._queued.get(queue.partition)
        if queued and internals.has_room(queued, queue.builder):
            self._fill(queue)
        while queue.waiting and queue.admission is None:
            entry = queue.waiting.popleft()
            try:
                if not entry[2]():
                    self._count_settled(1)
                elif self._open_batch(queue, entry):
                    self._fill(queue)
            except Exception as error:
                self._report_soon((entry,), error_mapping.from_send(error, queue.partition.topic))

    def _fill(self, queue: PartitionQueue) -> None:
        """Move waiting records into the open batch until it is full."""
        waiting, entries, most = queue.waiting, queue.entries, queue.max_records
        with internals.appending(queue.builder, entries) as append:
            while waiting and len(entries) < most:
                entry = waiting[0]
                (_, value, key, headers, _, _, timestamp_ms, _), _, is_wanted = entry
                if is_wanted is always or is_wanted():
                    if type(headers) is not list:
                        headers = list(headers)
                    try:
                        if append(len(entries), timestamp_ms, key, value, headers) is None:
                            return
                        entries.append(entry)
                    except Exception as error:
                        topic = queue.partition.topic
                        self._report_soon((entry,), error_mapping.from_send(error, topic))
                else:
                    self._count_settled(1)
                waiting.popleft()

    def _on_settled(
        self, queue: PartitionQueue, opened_at: float, future: "asyncio.Future[Any]"
    ) -> None:
        error = error_of(future)
        entries = self._in_flight.pop(future, None)
        if entries is None:
            return  # it was failed when the producer was closed
        if queue.entries is entries:
            queue.builder, queue.entries = None, []
        if error is None:
            if len(entries) >= queue.max_records:
                queue.max_records = min(2 * queue.max_records, MAX_RECORDS)
            self._report(entries, None, future.result())
            return
        topic = queue.partition.topic
        if error_mapping.is_out_of_step(error):
            self._on_failure(spent(queue.partition, error))
        if error_mapping.is_about_records(error) and len(entries) > 1:
            # The broker refuses whole batches and does not say which of the records are to blame,
            # so only a record that was alone is known to be refused.
            queue.max_records = half = len(entries) // 2
            self._send_again(queue, entries[:half], entries[half:])
        elif error_mapping.is_about_time(error) and self._loop.time() > opened_at + FRESH_S:
            self._send_again(queue, entries)  # with new timestamps
        elif error_mapping.is_without_leader(error) and not self._queues.count(topic):
            # The topic was deleted meanwhile.
            self._report(entries, self._refresh.no_such_topic(topic))
        else:
            self._report(entries, error_mapping.from_send(error, topic))

    def _send_again(self, queue: PartitionQueue, *parts: Sequence[Entry]) -> None:
        """Send the records of a refused batch again, in new batches, before all that is queued."""
        now = self._loop.time()
        for part in reversed(parts):
            if not (entries := self._wanted(part)):
                continue
            try:
                builder = self._producer.create_batch()
                for (_, value, key, headers, _, _, at_ms, _), _, _ in entries:
                    builder.append(timestamp=at_ms, key=key, value=value, headers=list(headers))
                future = self._requests.queue_first(builder, queue.partition)
            except Exception as error:
                self._report(entries, error_mapping.from_send(error, queue.partition.topic))
            else:
                self._in_flight[future] = entries
                future.add_done_callback(partial(self._on_settled, queue, now))

    # -- outcomes ------------------------------------------------------------------------

    def _report_soon(self, entries: Sequence[Entry], error: Exception) -> None:
        """Report an error later: the caller of `send` may not be ready for it yet."""
        self._loop.call_soon(self._report, entries, error)

    def _report(
        self, entries: Sequence[Entry], error: Exception | None, acknowledged: Any = None
    ) -> None:
        self._report_outcome(entries, error, acknowledged)
        self._count_settled(len(entries))

    def _count_settled(self, count: int) -> None:
        """Count records that were reported or dropped."""
        self._unsettled -= count
        if not self._unsettled and self._all_settled is not None:
            self._all_settled.set_result(None)
            self._all_settled = None

    async def flush(self, timeout_s: float) -> bool:
        if self._unsettled:
            if self._all_settled is None:
                self._all_settled = self._loop.create_future()
            await asyncio.wait({self._all_settled}, timeout=timeout_s)
        return not self._unsettled

    def sweep(self) -> None:
        """Drop waiting records that are not wanted any more, fail those whose topic is gone."""
        gone = self._refresh.gone()
        for queue in self._queues:
            if queue.waiting:
                queue.waiting = deque(self._wanted(queue.waiting))
            if queue.partition.topic in gone:
                self._fail_gone(queue)
        self._queues.prune()
        for topic in gone.difference(self._lookups.topics, self._queues.topics()):
            internals.forget_topic(self._producer, topic)

    def _fail_gone(self, queue: PartitionQueue) -> None:
        waiting, queue.waiting = queue.waiting, deque()
        if waiting:
            self._report(waiting, self._refresh.no_such_topic(queue.partition.topic))
        internals.fail_queued(self._producer, queue.partition, NotLeaderForPartitionError())

    def _wanted(self, entries: Collection[Entry]) -> list[Entry]:
        wanted = [entry for entry in entries if entry[2]()]
        self._count_settled(len(entries) - len(wanted))
        return wanted

    # -- the end -------------------------------------------------------------------------

    def refuse(self, why: str) -> None:
        """Take no more records: each that comes fails with this reason."""
        self._refusal = why

    async def fail_waiting(self) -> None:
        """Fail the records that have not gone out yet."""
        waiting = self._lookups.close()
        for queue in self._queues:
            waiting += queue.waiting
            queue.waiting.clear()
        admissions = {queue.admission for queue in self._queues if queue.admission is not None}
        for admission in admissions:
            admission.cancel()
        if admissions:  # of batches whose records came before those that wait
            await asyncio.wait(admissions, timeout=CANCEL_TIMEOUT_S)
        self._report(self._wanted(waiting), _not_sent(self._refusal or ""))

    def fail_in_flight(self) -> None:
        """Fail the records that have gone out and were not acknowledged."""
        in_flight, self._in_flight = self._in_flight, {}
        for entries in in_flight.values():
            self._report(entries, SendFailed(UNACKNOWLEDGED, in_doubt=True))


UNACKNOWLEDGED = (
    "The record may have arrived or not: the producer was closed before the broker had "
    "acknowledged it."
)


def spent(partition: Any, error: BaseException) -> ProducerSpent:
    """Return why a producer has to be replaced for the sake of one partition."""
    return ProducerSpent(
        f"{partition.topic} [{partition.partition}] takes no more records of this producer, whose "
        f"sequence numbers there are wrong since a batch was not taken: {error!r}"
    )


def _not_sent(why: str) -> SendFailed:
    return SendFailed(f"The record was not sent: {why}.")


def _topic_of(entry: Entry) -> str:
    return str(getattr(entry[0], "topic", ""))
