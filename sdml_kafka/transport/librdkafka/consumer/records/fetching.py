"""Fetch the records of partitions with a client that is in no group, with a thread of its own.

How this works
--------------
librdkafka fetches ahead by itself, and keeps what it has in one queue for all partitions. A turn of
the thread waits for a message, takes what else is there, sorts it by partition and puts it into the
exchange, where the program's polls find it. Nothing is taken while enough waits there for the
partitions that polls ask for. Where much comes, two threads that compute would wait for the
interpreter's lock and for each other's caches all the time. So after a full batch the thread rests
until a poll waits, and polls take what they need themselves (`take_now`).

Where the offset to be read next is gone librdkafka reports an error, and reading goes on at the
log's beginning. librdkafka knows where logs begin: an offset that is missing before that has been
deleted, and one that comes again is of another log. But behind a batch with a wrong checksum
librdkafka takes the middle of the batch for the next one, and may go on at any offset. So for some
time after such a batch that error is not believed (`undecodable_batches.py`).

Rules for whoever edits this file:

- Whoever uses the client holds its `right`: the thread, unless it rests. All here is under it.
- What is no record comes in the same queue, and its place in the order counts.
- `consume` waits until it has as many as asked for, or its time is over; `poll` until it has one.
- A pause drops what was fetched, so it is for partitions that nobody reads for long.
- While no broker can be reached nothing is fetched (`outage.py` says why).
- After a seek nothing of what was taken before counts any more (`_stale`), least of all an error.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from logging import getLogger

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import DELETED, REPLACED, Jump
from sdml_kafka.transport.librdkafka.client_partitions import as_client, at_offsets
from sdml_kafka.transport.librdkafka.consumer.failures import final
from sdml_kafka.transport.librdkafka.consumer.lookups import FIRST
from sdml_kafka.transport.librdkafka.consumer.records.batches import (
    Undecodable,
    are_records,
    in_order,
    runs,
)
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange, Fetched
from sdml_kafka.transport.librdkafka.consumer.records.outage import Outage
from sdml_kafka.transport.librdkafka.consumer.records.supply import Supply
from sdml_kafka.transport.librdkafka.consumer.records.undecodable_batches import (
    UndecodableBatches,
)

_log = getLogger("sdml_kafka.transport")

TURN_S = 0.05
REST_S = 0.1
LOOK_S = 0.02
"""Seconds between two looks at a poll that waits while nothing may be taken for it."""
BATCHES_OF_A_POLL = 3
"""The number of batches that a poll takes itself, in less than a millisecond."""
LEADERS_TIMEOUT_S = 0.2
_ABOUT_A_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_ID,
    }
)
"""The topic is missing, or was deleted, which the health says."""


class Fetching:
    """Takes what one client has fetched, and moves and pauses its partitions."""

    def __init__(
        self,
        consumer: Consumer,
        exchange: Exchange,
        rest: Callable[[float], object],
        outage: Outage,
        *,
        skips_corrupt: bool,
        reads_what_is_left: bool,
    ) -> None:
        """Begin without partitions.

        Args:
            consumer: A client that subscribes to nothing.
            exchange: Takes the records.
            rest: Waits in the thread, for so many seconds at most.
            outage: Takes the client's errors.
            skips_corrupt: Whether to go on behind batches that do not decode.
            reads_what_is_left: Whether to go on at the log's beginning where the offset to be read
                next is gone, which is an error otherwise.
        """
        self._consumer = consumer
        self._exchange = exchange
        self._rest, self._outage = rest, outage
        self._reads_what_is_left = reads_what_is_left
        self._undecodable = UndecodableBatches(
            consumer, exchange, self._seek, skips_corrupt=skips_corrupt
        )
        self._stale: set[TopicPartition] = set()
        """The partitions that were moved since the messages in hand were taken."""
        self._supply = Supply(consumer, exchange)
        self._left: list[Message] | Exception = []
        """The messages or the error that a poll has met with and leaves to the thread."""

    def turn(self) -> None:
        """Take what was fetched, or wait for it; in the thread."""
        exchange, supply = self._exchange, self._supply
        if self._outage.is_on:
            self._wait_for_leaders()
            return
        self._undecodable.retry()
        has_room = supply.has_room()
        if not exchange.is_waiting and (supply.has_much or not has_room or not supply.is_short()):
            self._rest_for(REST_S)
        elif not (has_room and exchange.wanted):
            self._rest_for(LOOK_S)
        elif (first := self._consumer.poll(TURN_S)) is not None:
            self._sort_in([first, *supply.more()])
            if supply.has_much and exchange.may_wake():
                self._rest_for(REST_S)
        exchange.wake()

    def _wait_for_leaders(self) -> None:
        """Fetch nothing until the outage is over, and go on then where reading has ended."""
        consumer, outage, partitions = self._consumer, self._outage, self._exchange.partitions
        if not outage.has_paused:
            consumer.pause(as_client(partitions))
            outage.has_paused = True
        if (first := consumer.poll(TURN_S)) is not None:  # which hands over errors and log lines
            self._sort_in([first])
        self._exchange.wake()
        if outage.is_over(consumer, partitions):
            outage.end()
            self._supply.forget(partitions)
            read = self._undecodable.read_on(partitions)
            for key in read:
                self._seek(key, self._undecodable.position(key))
            consumer.resume(as_client(read))
        elif outage.has_lost_brokers:
            self._consumer = self._supply.consumer = outage.begin_anew()
            self._undecodable.consumer = self._consumer
            places = {key: self._undecodable.position(key) for key in partitions}
            self._consumer.incremental_assign(at_offsets(places))

    def _rest_for(self, timeout_s: float) -> None:
        """Let polls take what was fetched, until one waits or there is something else to do."""
        self._supply.right.release()
        try:
            self._exchange.wake()  # first, since a poll that goes on takes more at once
            self._rest(timeout_s)
        finally:
            self._supply.right.acquire()
        left, self._left = self._left, []  # before a command moves what was taken
        if isinstance(left, Exception):
            raise left
        if left:
            self._sort_in(left)

    def take_now(self) -> bool:
        """Take records, and return whether there may be more; in the program's thread.

        Nothing is taken unless the thread rests. What is no record is left to the thread.
        """
        supply = self._supply
        if not supply.right.acquire(blocking=False):
            return False
        try:
            is_calm = not self._left and self._undecodable.are_none
            self._exchange.is_full = not supply.has_room()
            supply.has_much = is_calm and bool(self._exchange.wanted) and not self._exchange.is_full
            for _ in range(BATCHES_OF_A_POLL):
                if supply.has_much:
                    self._take_records(supply.more())
            return supply.has_much
        except Exception as error:  # which is the thread's to report
            self._left = error
            return False
        finally:
            supply.right.release()

    def _take_records(self, messages: list[Message]) -> None:
        if not are_records(messages):
            self._left, self._supply.has_much = messages, False
            return
        self._stale.clear()
        for key, records in runs(messages, self._supply.only_topic):
            self._sort_run(key, records)

    # -- what comes ----------------------------------------------------------------------

    def _sort_in(self, messages: list[Message]) -> None:
        self._stale.clear()
        for each in in_order(messages, self._supply.only_topic):
            if isinstance(each, Message):
                self._note(each)
            else:
                self._sort_run(*each)

    def _sort_run(self, key: TopicPartition, records: RecordColumns | Undecodable) -> None:
        fetched = self._exchange.partitions.get(key)
        if fetched is None or fetched.is_withheld or not self._is_read_on(key):
            return
        if isinstance(records, Undecodable):
            self._undecodable.note_record(key, records)
        else:
            self._put(key, fetched, records)

    def _is_read_on(self, key: TopicPartition) -> bool:
        """Return whether what comes of a partition counts: it was read without a failure."""
        return key not in self._stale and self._undecodable.passes(key)

    def _put(self, key: TopicPartition, fetched: Fetched, records: RecordColumns) -> None:
        if records.offsets[0] != fetched.next:
            self._note_gap(key, fetched.next, records.offsets[0])
        self._exchange.put(key, records)
        self._supply.note(key, records, fetched.count)

    def _note_gap(self, key: TopicPartition, expected: int, position: int) -> None:
        """Report a jump, unless what is missing is no record."""
        if position < expected:
            self._exchange.note_jumps([Jump(key, expected, position, REPLACED)])
            return
        first, _ = self._consumer.get_watermark_offsets(ClientPartition(*key), cached=True)
        if first > expected:
            self._exchange.note_jumps([Jump(key, expected, min(first, position), DELETED)])

    def _note(self, message: Message) -> None:
        """Take in what is no record: an error, or the end of a partition."""
        error, topic, number = message.error(), message.topic(), message.partition()
        assert error is not None
        code, key = error.code(), None
        if topic is not None and number is not None and number >= 0:
            key = TopicPartition(topic, number)
        if code == KafkaError._PARTITION_EOF:
            self._note_end(key, message.offset())
        elif key is not None and key in self._exchange.partitions and self._is_moved(key, code):
            return
        elif (failure := final(error)) is not None:
            self._exchange.fail(failure)
        elif key is not None and key in self._exchange.partitions and key not in self._stale:
            self._note_error(key, error, message.offset())

    def _note_error(self, key: TopicPartition, error: KafkaError, base: int | None) -> None:
        if error.code() not in _ABOUT_A_TOPIC:
            self._undecodable.note_error(key, error, base)

    def _is_moved(self, key: TopicPartition, code: int) -> bool:
        """Return whether an error means that reading goes on elsewhere, and see to that."""
        if code != KafkaError._AUTO_OFFSET_RESET:
            return False
        if self._undecodable.is_garbled(key):
            self._undecodable.go_on(key)
            return True
        if self._reads_what_is_left:
            self._seek(key, FIRST)
        return self._reads_what_is_left

    def _note_end(self, key: TopicPartition | None, position: int | None) -> None:
        fetched = None if key is None else self._exchange.partitions.get(key)
        if key is None or fetched is None or position is None or not self._is_read_on(key):
            return
        if position == fetched.next:
            return
        self._note_gap(key, fetched.next, position)
        self._exchange.move(key, position)

    # -- moving and pausing --------------------------------------------------------------

    def open(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch partitions from their positions on."""
        new = self._supply.note_opened(positions)
        self._consumer.incremental_assign(at_offsets(positions))
        self._outage.has_paused = False  # since these are not
        self._find_leaders(new)

    def _find_leaders(self, topics: Collection[str]) -> None:
        """Ask for the leaders of topics, which librdkafka itself does up to a second later."""
        with suppress(KafkaException):  # since it asks again for what is missing
            for topic in topics:
                self._consumer.list_topics(topic, LEADERS_TIMEOUT_S)

    def close(self, keys: Collection[TopicPartition]) -> None:
        """Fetch nothing more of partitions."""
        own = self._exchange.partitions.keys() & set(keys)
        self._consumer.incremental_unassign(as_client(own))
        self._supply.forget(keys)
        for key in own:
            self._undecodable.forget(key)
        self._exchange.close(keys)

    def seek(self, positions: Mapping[TopicPartition, int], number: int) -> None:
        """Fetch partitions from elsewhere on, for polls that know of this seek."""
        for key, position in positions.items():
            self._seek(key, position)
            self._undecodable.forget(key)
        self._exchange.sought(positions, number)
        self._supply.forget(positions)
        if not self._outage.is_on:
            self._consumer.resume(as_client(positions))

    def _seek(self, key: TopicPartition, position: int) -> None:
        self._stale.add(key)
        try:
            self._consumer.seek(ClientPartition(*key, position))
        except KafkaException:  # its fetches have not begun, or were stopped by an error
            place = at_offsets({key: position})
            self._consumer.incremental_unassign(place)
            self._consumer.incremental_assign(place)

    @property
    def held(self) -> Mapping[TopicPartition, str]:
        """The partitions that cannot be read on, with the reason."""
        return self._undecodable.held

    def high_watermarks(self) -> dict[TopicPartition, int]:
        """Return where the logs end, as far as that was seen by a fetch."""
        ends: dict[TopicPartition, int] = {}
        for key in self._exchange.partitions:
            _, end = self._consumer.get_watermark_offsets(ClientPartition(*key), cached=True)
            if end >= 0:
                ends[key] = end
        return ends
