"""Fetch the records of partitions with a client that is in no group, in a thread of its own.

How this works
--------------
librdkafka fetches ahead by itself, and keeps what it has in one queue for all partitions. A turn
takes what is there, sorts it by partition and puts it into the exchange, where the program's polls
find it. Nothing is taken while enough waits there for the partitions that polls ask for.

librdkafka resets a position to the log's beginning where the offset to be read next is gone, and
says so in its log alone. But it knows where logs begin: an offset that is missing before that
has been deleted, and one that comes again is of another log.

Rules for whoever edits this file:

- What is no record comes in the same queue, and its place in the order counts.
- `consume` waits until it has as many as asked for, or its time is over; `poll` until it has one.
- A pause drops what was fetched, so it is for partitions that nobody reads for long.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from logging import getLogger
from time import monotonic

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from sdml_kafka.transport.fetched_record import RecordColumns
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import DELETED, REPLACED, Jump
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.consumer.batches import in_order
from sdml_kafka.transport.librdkafka.consumer.exchange import Exchange, Fetched
from sdml_kafka.transport.librdkafka.consumer.failures import final
from sdml_kafka.transport.librdkafka.consumer.lookups import as_client, at_offsets

_log = getLogger("sdml_kafka.transport")

TURN_S = 0.05
REST_S = 0.02
MAX_BATCH = 400
"""The number of records that are taken from librdkafka at once. Their messages live so shortly that
they do not make the garbage collector run, which looks at 700 new objects."""
MAX_TURN = 4000
"""The number of records that are taken in a turn, which takes some 5 ms."""
BATCH_BYTES = 2 << 20
MAX_WAITING = 4000
"""The number of records that wait for the partitions that polls ask for, before more are taken."""
MAX_UNWANTED = 2000
"""The number of records of a partition that wait for a poll to ask for it, before it is paused."""
RETRY_HELD_S = 2.0
"""Seconds after which a batch that does not decode is tried again."""
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
        *,
        skips_corrupt: bool,
    ) -> None:
        """Begin without partitions.

        Args:
            consumer: A client that subscribes to nothing.
            exchange: Takes the records.
            rest: Waits in the thread, for so many seconds at most.
            skips_corrupt: Whether to go on behind batches that do not decode.
        """
        self._consumer = consumer
        self._exchange = exchange
        self._rest = rest
        self._skips_corrupt = skips_corrupt
        self._record_bytes = 1024
        """The size of a record in the last batch."""
        self.held: dict[TopicPartition, str] = {}
        """The partitions that cannot be read on, with the reason."""
        self._retry_held_at = 0.0
        self._paused: set[TopicPartition] = set()

    def turn(self) -> None:
        """Take what was fetched, or wait for it."""
        exchange = self._exchange
        if self._paused:
            self._resume_wanted()
        if self.held and monotonic() >= self._retry_held_at:
            self._retry_held()
        if not (exchange.is_waiting or self._is_short()):
            self._rest(REST_S)
        elif (first := self._consumer.poll(TURN_S)) is not None:
            self._sort_in([first])
            self._take_more()
        exchange.wake()

    def _take_more(self) -> None:
        """Take what was fetched by now, up to a bound."""
        left = max(1, min(MAX_TURN, BATCH_BYTES // self._record_bytes))
        while left > 0 and (messages := self._consumer.consume(min(left, MAX_BATCH), 0)):
            self._sort_in(messages)
            left -= len(messages)

    def _is_short(self) -> bool:
        """Return whether few records wait for the partitions that polls ask for."""
        wanted, partitions = self._exchange.wanted, self._exchange.partitions
        waiting = sum(each.count for key in wanted if (each := partitions.get(key)) is not None)
        most = min(MAX_WAITING, BATCH_BYTES // self._record_bytes)
        return bool(wanted) and waiting < most

    # -- what comes ----------------------------------------------------------------------

    def _sort_in(self, messages: list[Message]) -> None:
        partitions = self._exchange.partitions
        for each in in_order(messages):
            if isinstance(each, Message):
                self._note(each)
                continue
            key, records = each
            if (fetched := partitions.get(key)) is not None and key not in self.held:
                if fetched.is_withheld:
                    continue
                self._put(key, fetched, records)

    def _put(self, key: TopicPartition, fetched: Fetched, records: RecordColumns) -> None:
        if records.offsets[0] != fetched.next:
            self._note_gap(key, fetched.next, records.offsets[0])
        some = records.values[:: 1 + len(records) // 8]
        self._record_bytes = 1 + sum(len(each or b"") for each in some) // len(some)
        self._exchange.put(key, records)
        if fetched.count > MAX_UNWANTED and key not in self._exchange.wanted:
            self._consumer.pause(as_client([key]))
            self._paused.add(key)

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
        elif (failure := final(error)) is not None:
            self._exchange.fail(failure)
        elif key is not None and key in self._exchange.partitions and code not in _ABOUT_A_TOPIC:
            self._hold(key, error)

    def _note_end(self, key: TopicPartition | None, position: int | None) -> None:
        fetched = None if key is None else self._exchange.partitions.get(key)
        if key is None or fetched is None or position is None or position == fetched.next:
            return
        self._note_gap(key, fetched.next, position)
        self._exchange.move(key, position)

    # -- batches that do not decode ------------------------------------------------------

    def _hold(self, key: TopicPartition, error: KafkaError) -> None:
        at = self._exchange.partitions[key].next
        reason = error_mapping.shown(error)
        if self._skips_corrupt:
            # Where the batch ends is not known: the next offset may bring the same one.
            why = f"what does not decode is skipped ({reason})"
            self._exchange.note_jumps([], [Jump(key, at, at + 1, why)])
            self._exchange.move(key, at + 1)
            self._seek(key, at + 1)
            return
        if key not in self.held:
            self.held[key] = f"offset {at}: {reason}"
            self._consumer.pause(as_client([key]))
            self._retry_held_at = monotonic() + RETRY_HELD_S

    def _retry_held(self) -> None:
        held, self.held = self.held, {}
        for key in held:
            if (fetched := self._exchange.partitions.get(key)) is not None:
                self._seek(key, fetched.next)
                self._consumer.resume(as_client([key]))

    # -- moving and pausing --------------------------------------------------------------

    def open(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch partitions from their positions on."""
        self._consumer.incremental_assign(at_offsets(positions))

    def close(self, keys: Collection[TopicPartition]) -> None:
        """Fetch nothing more of partitions."""
        own = self._exchange.partitions.keys() & set(keys)
        self._consumer.incremental_unassign(as_client(own))
        self._paused.difference_update(keys)
        for key in own:
            self.held.pop(key, None)
        self._exchange.close(keys)

    def seek(self, positions: Mapping[TopicPartition, int], number: int) -> None:
        """Fetch partitions from elsewhere on, for polls that know of this seek."""
        for key, position in positions.items():
            self._seek(key, position)
            self.held.pop(key, None)
        self._exchange.sought(positions, number)
        paused = self._paused & positions.keys()
        self._paused -= paused
        self._consumer.resume(as_client(positions))

    def _seek(self, key: TopicPartition, position: int) -> None:
        try:
            self._consumer.seek(ClientPartition(*key, position))
        except KafkaException:  # its fetches have not begun, or were stopped by an error
            place = at_offsets({key: position})
            self._consumer.incremental_unassign(place)
            self._consumer.incremental_assign(place)

    def _resume_wanted(self) -> None:
        partitions, wanted = self._exchange.partitions, set(self._exchange.wanted)
        short = [
            key
            for key in self._paused & wanted
            if key not in partitions or partitions[key].count < MAX_UNWANTED // 2
        ]
        if short:
            self._paused.difference_update(short)
            with suppress(KafkaException):
                self._consumer.resume(as_client(short))

    def high_watermarks(self) -> dict[TopicPartition, int]:
        """Return where the logs end, as far as that was seen by a fetch."""
        ends: dict[TopicPartition, int] = {}
        for key in self._exchange.partitions:
            _, end = self._consumer.get_watermark_offsets(ClientPartition(*key), cached=True)
            if end >= 0:
                ends[key] = end
        return ends
