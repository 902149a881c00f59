"""Skip batches that do not decode, or hold their partitions until they do.

Where such batches are skipped the end of one is looked for (`bad_batches.py`), and what is read
meanwhile does not count. Otherwise its partition is paused, and tried again now and then.
"""

from collections.abc import Callable, Collection
from time import monotonic

from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as ClientPartition

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Jump
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.client_partitions import as_client
from sdml_kafka.transport.librdkafka.consumer.records.bad_batches import BadBatch
from sdml_kafka.transport.librdkafka.consumer.records.batches import Undecodable
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange

RETRY_HELD_S = 2.0
"""Seconds after which a batch that does not decode is tried again."""
GARBLED_S = 5.0
"""Seconds after such a batch in which librdkafka's position may be of no meaning."""
_DOES_NOT_DECODE = frozenset(
    {
        KafkaError._BAD_MSG,
        KafkaError._BAD_COMPRESSION,
        KafkaError._NOT_IMPLEMENTED,
        KafkaError._UNDERFLOW,
        KafkaError.INVALID_MSG,
    }
)


class UndecodableBatches:
    """Knows where reading has failed, and goes on there or behind it."""

    def __init__(
        self,
        consumer: Consumer,
        exchange: Exchange,
        seek: Callable[[TopicPartition, int], object],
        *,
        skips_corrupt: bool,
    ) -> None:
        """Begin without any.

        Args:
            consumer: The client that fetches.
            exchange: Takes reports of what is skipped.
            seek: Fetches a partition from an offset on.
            skips_corrupt: Whether to go on behind batches that do not decode.
        """
        self.consumer: Consumer = consumer
        self._exchange = exchange
        self._seek = seek
        self._skips_corrupt = skips_corrupt
        self.held: dict[TopicPartition, str] = {}
        """The partitions that cannot be read on, with the reason."""
        self._retried: set[TopicPartition] = set()
        """Those of them that are being tried again."""
        self._retry_held_at = 0.0
        self._bad: dict[TopicPartition, BadBatch] = {}
        """The partitions in which the end of a batch is looked for that does not decode."""
        self._garbled_until: dict[TopicPartition, float] = {}
        """The time until which librdkafka's position in a partition may be of no meaning."""

    @property
    def are_none(self) -> bool:
        """True if all partitions are read on."""
        return not (self.held or self._bad)

    def read_on(self, keys: Collection[TopicPartition]) -> list[TopicPartition]:
        """Return those of these partitions that are not held, or are being tried again."""
        return [key for key in keys if key not in self.held or key in self._retried]

    def position(self, key: TopicPartition) -> int:
        """Return the offset from which a partition is read, or tried."""
        bad = self._bad.get(key)
        return self._exchange.partitions[key].next if bad is None else bad.trying

    def go_on(self, key: TopicPartition) -> None:
        """Fetch a partition again from where it is read or tried, unless it is held."""
        if key in self._bad or self.read_on([key]):
            self._seek(key, self.position(key))

    def is_garbled(self, key: TopicPartition) -> bool:
        """Return whether librdkafka's position in a partition may be of no meaning."""
        return monotonic() < self._garbled_until.get(key, 0.0)

    def passes(self, key: TopicPartition) -> bool:
        """Take in that a partition was read without a failure, and return whether that counts."""
        if (bad := self._bad.get(key)) is not None:
            bad.passed()
            self._look_on(key, bad)
            return False
        if key in self.held:
            if key not in self._retried:
                return False
            self._retried.discard(key)
            del self.held[key]
        return True

    def note_error(self, key: TopicPartition, error: KafkaError, base: int | None) -> None:
        """Take an error of a partition, at a batch that begins at this offset."""
        is_undecodable, reason = error.code() in _DOES_NOT_DECODE, error_mapping.shown(error)
        if is_undecodable:
            self._garbled_until[key] = monotonic() + GARBLED_S
        if self._skips_corrupt and is_undecodable:
            self._skip(key, base, reason)
        else:
            self._hold(key, self._exchange.partitions[key].next, reason)

    def note_record(self, key: TopicPartition, found: Undecodable) -> None:
        """Take a record that does not decode."""
        offset, reason = found
        if self._skips_corrupt:
            self._note_skipped(key, offset, offset + 1, reason)
        else:
            self._hold(key, offset, reason)

    def _note_skipped(self, key: TopicPartition, first: int, end: int, reason: str) -> None:
        why = f"what does not decode is skipped ({reason})"
        self._exchange.note_jumps([], [Jump(key, first, end, why)])
        self._exchange.move(key, end)

    def _skip(self, key: TopicPartition, base: int | None, reason: str) -> None:
        """Go on behind a batch that begins at `base`, whose end has to be looked for."""
        if (bad := self._bad.get(key)) is not None:
            bad.failed(base)
        else:
            _, log_end = self.consumer.get_watermark_offsets(ClientPartition(*key), cached=True)
            bad = BadBatch(self._exchange.partitions[key].next, base, log_end, reason)
            self._bad[key] = bad
        self._look_on(key, bad)

    def _look_on(self, key: TopicPartition, bad: BadBatch) -> None:
        if bad.is_found:
            del self._bad[key]
            self._note_skipped(key, bad.first, bad.trying, bad.reason)
        self._seek(key, bad.trying)

    def _hold(self, key: TopicPartition, at: int, reason: str) -> None:
        """Read nothing of a partition until its next try."""
        if key in self.held and key not in self._retried:
            return
        self._retried.discard(key)
        self.held[key] = f"offset {at}: {reason}"
        self.consumer.pause(as_client([key]))
        self._retry_held_at = monotonic() + RETRY_HELD_S

    def retry(self) -> None:
        """Try the partitions again that are held, if it is time to."""
        if not self.held or monotonic() < self._retry_held_at:
            return
        self._retry_held_at = monotonic() + RETRY_HELD_S
        for key in self.held.keys() - self._retried:
            if (fetched := self._exchange.partitions.get(key)) is not None:
                self._retried.add(key)
                self._seek(key, fetched.next)
                self.consumer.resume(as_client([key]))

    def forget(self, key: TopicPartition) -> None:
        """Forget what was found in a partition, which is closed or moved."""
        self.held.pop(key, None)
        self._retried.discard(key)
        self._bad.pop(key, None)
        self._garbled_until.pop(key, None)
