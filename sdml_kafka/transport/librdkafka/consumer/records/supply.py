"""Take what librdkafka has fetched, a batch at a time, while there is room for it.

A partition that polls do not ask for is being worked on, or it is stuck, or a program has paused
it. While its records fill their room here, nothing is taken of any partition, and if that lasts, it
is paused. A pause drops what librdkafka has fetched of the partition, which is fetched again.
"""

import threading
from collections.abc import Collection
from contextlib import suppress
from time import monotonic

from confluent_kafka import Consumer, KafkaException, Message

from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka.client_partitions import as_client
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange

MAX_BATCH = 400
"""The number of records that are taken from librdkafka at once. Their messages live so shortly that
they do not make the garbage collector run, which looks at 700 new objects."""
BATCH_BYTES = 1 << 19
MAX_WAITING = 4000
"""The number of records that wait for the partitions that polls ask for, before more are taken."""
MAX_UNWANTED, UNWANTED_BYTES = 2000, 1 << 20
"""The records and bytes of a partition that may wait for a poll to ask for it."""
PAUSED_AFTER_S = 0.1
"""Seconds after which a partition is paused that nobody asks for and that has no room."""


class Supply:
    """Takes batches from one client, for whoever has the right to use it."""

    def __init__(self, consumer: Consumer, exchange: Exchange) -> None:
        self.consumer: Consumer = consumer
        self._exchange = exchange
        self.right: threading.Lock = threading.Lock()
        """Held by whoever uses the client, from the beginning on."""
        self.right.acquire()
        self.has_much: bool = False
        """True if more may be there than was taken last."""
        self.only_topic: str | None = None
        """The topic of all messages, None if there are several."""
        self._topics: set[str] = set()
        self._record_bytes = 1024
        """The size of a record in the last batch."""
        self._paused: set[TopicPartition] = set()
        self._full_since: dict[TopicPartition, float] = {}
        """The time at which a partition that nobody asks for had no room any more."""

    def more(self) -> list[Message]:
        """Return a batch of what was fetched by now."""
        most = max(1, min(MAX_BATCH, BATCH_BYTES // self._record_bytes))
        messages = self.consumer.consume(most, 0)
        self.has_much = len(messages) == most
        return messages

    def is_short(self) -> bool:
        """Return whether few records wait for the partitions that polls ask for."""
        wanted, partitions = self._exchange.wanted, self._exchange.partitions
        waiting = sum(each.count for key in wanted if (each := partitions.get(key)) is not None)
        most = min(MAX_WAITING, BATCH_BYTES // self._record_bytes)
        return waiting < most

    def note_opened(self, keys: Collection[TopicPartition]) -> set[str]:
        """Note of which partitions messages may come, also once closed; return the new topics."""
        new = {key.topic for key in keys} - self._topics
        self._topics |= new
        self.only_topic = next(iter(self._topics)) if len(self._topics) == 1 else None
        return new

    def note(self, key: TopicPartition, records: RecordColumns, count: int) -> None:
        """Note which records were taken last, and how many of their partition wait."""
        some = records.values[:: 1 + len(records) // 8]
        self._record_bytes = 1 + sum(len(each or b"") for each in some) // len(some)
        if count > self._room() and key not in self._exchange.wanted:
            self._full_since.setdefault(key, monotonic())

    def has_room(self) -> bool:
        """Return whether there is room for each partition that is not paused."""
        if self._paused:
            self._resume_wanted()
        if not self._full_since:
            return True
        partitions, wanted = self._exchange.partitions, self._exchange.wanted
        for key, since in list(self._full_since.items()):
            fetched = partitions.get(key)
            if fetched is None or fetched.count <= self._room() or key in wanted:
                del self._full_since[key]
            elif monotonic() >= since + PAUSED_AFTER_S:
                del self._full_since[key]
                self.consumer.pause(as_client([key]))
                self._paused.add(key)
        return not self._full_since

    def _room(self) -> int:
        return min(MAX_UNWANTED, UNWANTED_BYTES // self._record_bytes)

    def _resume_wanted(self) -> None:
        partitions, wanted = self._exchange.partitions, set(self._exchange.wanted)
        short = [
            key
            for key in self._paused & wanted
            if key not in partitions or partitions[key].count <= self._room() // 2
        ]
        if short:
            self._paused.difference_update(short)
            with suppress(KafkaException):
                self.consumer.resume(as_client(short))

    def forget(self, keys: Collection[TopicPartition]) -> None:
        """Forget partitions that are closed, or moved and not paused any more."""
        self._paused.difference_update(keys)
        for key in keys:
            self._full_since.pop(key, None)
