# pyright: basic
# aiokafka is not typed.
"""The records of one producer, from `send` until they are told. All of it runs in one loop.

Batches are built here and handed to aiokafka open, so that a record costs an append and a batch a
future: aiokafka's own `send` takes six times as long, and with many callers at a full batch each of
them wakes for every other.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from aiokafka.errors import KafkaTimeoutError, NotLeaderForPartitionError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from sdml_kafka.errors import ProducerFailed, SendFailed
from sdml_kafka.transport.aiokafka import error_mapping as failures
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.outcome import error_of
from sdml_kafka.transport.aiokafka.producer import internals as private
from sdml_kafka.transport.aiokafka.producer.metadata_refresh import Refreshes
from sdml_kafka.transport.aiokafka.producer.partition_queues import MAX_RECORDS, Entry, Lane, Lanes
from sdml_kafka.transport.aiokafka.producer.topic_lookups import Lookups
from sdml_kafka.transport.interfaces import Message, OnSent, always

Told = Callable[[Sequence[Entry], Exception | None], None]
"""Where outcomes go; it must not raise."""


class Sends:
    def __init__(
        self,
        producer: Client,
        told: Told,
        on_failure: Callable[[ProducerFailed], None],
    ) -> None:
        self._producer = producer
        self._told = told
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._queued = private.queued_batches(producer)
        self._max_request_size = private.max_request_size(producer)
        self._lanes = Lanes(producer)
        self._refreshes = Refreshes(producer, self._lanes)
        self._lookups = Lookups(
            producer, self._lanes, self._refreshes, self._take, self._tell, self._drop
        )
        self._in_flight: dict[asyncio.Future[Any], Sequence[Entry]] = {}
        self._unsettled = 0
        self._settled_all: asyncio.Future[None] | None = None
        self._refusal: str | None = "the producer is not started"

    # -- in ------------------------------------------------------------------------------

    def open(self, *, creates_topics: bool) -> None:
        if not creates_topics:
            self._refreshes.create_none()
        self._refusal = None

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        self._unsettled += 1
        entry = (message, on_sent, is_wanted)
        if self._refusal is None:
            self._take(entry)
        else:
            self._tell_soon((entry,), _not_sent(self._refusal))

    def _take(self, entry: Entry) -> None:
        message, lane = entry[0], None
        try:
            # One that is wrong or whose topic is being looked for takes its turn there.
            is_nothing = message.value is None and message.key is None
            if not is_nothing and message.topic not in self._lookups.topics:
                lane = self._lanes.find(message)
            if lane is None:
                self._lookups.add(entry)
            elif lane.queue or lane.admission is not None:
                lane.queue.append(entry)
            elif lane.builder is None:
                self._open_batch(lane, entry)
            else:
                # With all that comes in this turn of the loop; aiokafka looks two turns later.
                lane.queue.append(entry)
                self._loop.call_soon(self._pump, lane)
        except Exception as error:
            self._tell_soon((entry,), failures.from_send(error, _topic_of(entry)))

    def _open_batch(self, lane: Lane, entry: Entry) -> None:
        message = entry[0]
        headers: list[Any] = list(message.headers)
        size = DefaultRecordBatchBuilder.estimate_size_in_bytes(message.key, message.value, headers)
        if size > self._max_request_size:
            self._tell_soon((entry,), failures.too_large(message.topic))
            return
        builder = self._producer.create_batch()
        _append(builder, message)  # the first record always has room
        if lane.most_records == 1:
            builder.close()
        lane.builder, lane.entries = builder, [entry]
        if self._queued.get(lane.place):
            topic, partition = lane.place
            waiting = self._producer.send_batch(builder, topic, partition=partition)
            lane.admission = self._loop.create_task(waiting)
            lane.admission.add_done_callback(partial(self._admitted, lane, lane.entries))
        else:
            future = private.queue_batch(self._producer, builder, lane.place)
            self._wait_for(future, lane, lane.entries)

    # -- on the way ----------------------------------------------------------------------

    def _wait_for(
        self, future: "asyncio.Future[Any]", lane: Lane, entries: Sequence[Entry]
    ) -> None:
        self._in_flight[future] = entries
        future.add_done_callback(partial(self._settled, lane))

    def _admitted(
        self, lane: Lane, entries: Sequence[Entry], admission: "asyncio.Task[Any]"
    ) -> None:
        lane.admission = None
        error = error_of(admission)
        if error is None:
            self._wait_for(admission.result(), lane, entries)
        elif self._refusal is not None:
            self._tell_soon(entries, _not_sent(self._refusal))
        elif isinstance(error, KafkaTimeoutError):  # no room in all that time
            lane.queue.extendleft(reversed(entries))
        else:
            self._tell_soon(entries, failures.from_send(error, lane.place.topic))
        self._pump(lane)

    def _pump(self, lane: Lane) -> None:
        """Send what is queued, as far as there is room."""
        builder = self._open_builder(lane)
        while lane.queue and lane.admission is None:
            entry = lane.queue.popleft()
            message, _, is_wanted = entry
            try:
                if is_wanted is not always and not is_wanted():
                    self._drop(1)
                elif builder is not None and _append(builder, message):
                    lane.entries.append(entry)
                    if len(lane.entries) >= lane.most_records:
                        builder.close()
                else:
                    self._open_batch(lane, entry)
                    builder = lane.builder
            except Exception as error:
                self._tell_soon((entry,), failures.from_send(error, lane.place.topic))

    def _open_builder(self, lane: Lane) -> Any:
        """Of the batch that waits to be sent; None when there is none."""
        queued = self._queued.get(lane.place)
        if queued and private.is_last_queued(queued, lane.builder):
            return lane.builder
        return None

    def _settled(self, lane: Lane, future: "asyncio.Future[Any]") -> None:
        error = error_of(future)
        entries = self._in_flight.pop(future, None)
        if entries is None:
            return  # given up
        if lane.entries is entries:
            lane.builder, lane.entries = None, []
        if error is None:
            if len(entries) >= lane.most_records:
                lane.most_records = min(2 * lane.most_records, MAX_RECORDS)
            self._tell(entries, None)
            return
        if failures.is_out_of_step(error):
            self._on_failure(ProducerFailed(f"the broker and the producer disagree: {error!r}"))
        if failures.is_too_large(error) and len(entries) > 1:
            self._split(lane, entries)
        elif failures.is_without_leader(error) and not self._lanes.count(lane.place.topic):
            # deleted meanwhile
            self._tell(entries, self._refreshes.no_such_topic(lane.place.topic))
        else:
            self._tell(entries, failures.from_send(error, lane.place.topic))

    def _split(self, lane: Lane, entries: Sequence[Entry]) -> None:
        """The limit of the broker holds for batches: only a record that was alone is too large."""
        lane.most_records = len(entries) // 2
        lane.queue.extendleft(reversed(entries))
        if lane.builder is not None:
            lane.builder.close()
        if lane.admission is None:
            self._pump(lane)

    # -- out -----------------------------------------------------------------------------

    def _tell_soon(self, entries: Sequence[Entry], error: Exception) -> None:
        """Not from within `send`: its caller may not be ready for it yet."""
        self._loop.call_soon(self._tell, entries, error)

    def _tell(self, entries: Sequence[Entry], error: Exception | None) -> None:
        self._told(entries, error)
        self._drop(len(entries))

    def _drop(self, count: int) -> None:
        self._unsettled -= count
        if not self._unsettled and self._settled_all is not None:
            self._settled_all.set_result(None)
            self._settled_all = None

    async def flush(self, timeout_s: float) -> bool:
        if self._unsettled:
            if self._settled_all is None:
                self._settled_all = self._loop.create_future()
            await asyncio.wait({self._settled_all}, timeout=timeout_s)
        return not self._unsettled

    def sweep(self) -> None:
        """Drop what waits and is not wanted any more, or for a topic that is gone."""
        gone = self._refreshes.gone()
        for lane in self._lanes:
            if lane.queue:
                lane.queue = deque(self._wanted(lane.queue))
            if lane.place.topic in gone:
                self._give_up(lane)
        self._lanes.prune()
        for topic in gone.difference(self._lookups.topics, self._lanes.topics()):
            private.forget_topic(self._producer, topic)

    def _give_up(self, lane: Lane) -> None:
        waiting, lane.queue = lane.queue, deque()
        if waiting:
            self._tell(waiting, self._refreshes.no_such_topic(lane.place.topic))
        private.fail_queued(self._producer, lane.place, NotLeaderForPartitionError())

    def _wanted(self, entries: Collection[Entry]) -> list[Entry]:
        wanted = [entry for entry in entries if entry[2]()]
        self._drop(len(entries) - len(wanted))
        return wanted

    # -- the end -------------------------------------------------------------------------

    def refuse(self, why: str) -> None:
        """Take nothing more."""
        self._refusal = why

    async def give_up_waiting(self) -> None:
        """Tell what has not gone out yet."""
        waiting = self._lookups.close()
        for lane in self._lanes:
            waiting += lane.queue
            lane.queue.clear()
        self._tell(self._wanted(waiting), _not_sent(self._refusal or ""))
        admissions = {lane.admission for lane in self._lanes if lane.admission is not None}
        for admission in admissions:
            admission.cancel()
        if admissions:
            await asyncio.wait(admissions, timeout=0.5)

    def give_up_all(self) -> None:
        """Tell what was not acknowledged by now."""
        in_flight, self._in_flight = self._in_flight, {}
        for entries in in_flight.values():
            self._tell(entries, SendFailed(GIVEN_UP, in_doubt=True))


GIVEN_UP = (
    "The record may have arrived or not: the producer was closed before the broker had "
    "acknowledged it."
)


def _not_sent(why: str) -> SendFailed:
    return SendFailed(f"The record was not sent: {why}.")


_NO_HEADERS: list[tuple[str, bytes]] = []


def _append(builder: Any, message: Message) -> bool:
    """False: the batch is full, or has left."""
    _, value, key, headers, _, _ = message
    if type(headers) is not list:
        headers = list(headers) if headers else _NO_HEADERS
    return builder.append(timestamp=None, key=key, value=value, headers=headers) is not None


def _topic_of(entry: Entry) -> str:
    return str(getattr(entry[0], "topic", ""))
