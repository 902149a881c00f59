"""Where partitions end, and when that was seen.

Fetches show where logs end, but not when that was: what has changed since the last look was seen
after it. Where what a consumer may read ends, brokers are asked, each once in a while. A request
waits for the slowest of them, so those that did not answer are asked less often than the others.
"""

from collections.abc import Collection, Mapping
from time import monotonic

from attrs import frozen

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import End
from sdml_kafka.transport.librdkafka.consumer.lookups import END, Lookups
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles

ASK_INTERVAL_S = 1.0
"""Seconds between two requests for ends."""
ASK_INTERVAL_OF_EACH_S = 0.005
"""Seconds for each partition, if there are many."""
MAX_INTERVAL_S = 8.0
"""The most seconds between two requests, also to a broker that does not answer. The broker of a
partition whose end is older than `SILENT_S` of `health/rules.py` counts as away."""


@frozen
class _Seen:
    offset: int
    at: float


class Ends:
    """The ends of one consumer's partitions."""

    def __init__(self, lookups: Lookups, obstacles: Obstacles, *, reads_committed: bool) -> None:
        self._lookups = lookups
        self._obstacles = obstacles
        self._reads_committed = reads_committed
        self._fetched: dict[TopicPartition, _Seen] = {}
        self._looked_at = monotonic()
        self._asked: Mapping[TopicPartition, _Seen] = {}
        self._ask_at = 0.0
        self._silent = frozenset[TopicPartition]()
        """The partitions whose brokers did not answer when they were asked last."""
        self._silent_at = 0.0
        self._silent_interval_s = ASK_INTERVAL_S

    def ask_due(self, keys: Collection[TopicPartition]) -> None:
        """Ask brokers for the ends of partitions for which it is time; in the member's thread.

        Raises:
            KafkaException: No broker has answered.
        """
        now = monotonic()
        if now < self._ask_at:
            return
        asks_all = now >= self._silent_at
        asked = [key for key in keys if asks_all or key not in self._silent]
        answered: Collection[TopicPartition] = ()
        try:
            answered = self.ask(asked)
        finally:
            interval_s = max(ASK_INTERVAL_S, ASK_INTERVAL_OF_EACH_S * len(asked))
            self._ask_at = monotonic() + min(MAX_INTERVAL_S, interval_s)
            self._silent = (self._silent.intersection(keys) | set(asked)).difference(answered)
            if not self._silent:
                self._silent_at, self._silent_interval_s = 0.0, ASK_INTERVAL_S
            elif asks_all:
                self._silent_interval_s = min(MAX_INTERVAL_S, 2 * self._silent_interval_s)
                self._silent_at = monotonic() + self._silent_interval_s

    def ask(self, keys: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask brokers, and return what they have answered; in the member's thread.

        Raises:
            KafkaException: No broker has answered.
        """
        if not keys:
            return {}
        asked_at = monotonic()
        ends = self._lookups.offsets(dict.fromkeys(keys, END))
        self._obstacles.note_connection()
        if len(ends) == len(keys) and self._silent.issubset(keys):
            self._obstacles.answered()
        self._asked = {
            **self._asked,
            **{key: _Seen(end, asked_at) for key, end in ends.items() if end >= 0},
        }
        return ends

    def look(self, marks: Mapping[TopicPartition, int]) -> None:
        """Note the high watermarks as of the last fetches."""
        before, looked_at, self._looked_at = self._fetched, self._looked_at, monotonic()
        self._fetched = {
            key: seen
            if (seen := before.get(key)) is not None and seen.offset == mark
            else _Seen(mark, looked_at)
            for key, mark in marks.items()
        }

    def logs(self, keys: Collection[TopicPartition]) -> dict[TopicPartition, End]:
        """Return the ends of the logs, as far as they are known."""
        known = [self._fetched] if self._reads_committed else [self._fetched, self._asked]
        return _newest(keys, *known)

    def readable(self, keys: Collection[TopicPartition]) -> dict[TopicPartition, End]:
        """Return the ends of what this consumer can read; see `Health.ends`."""
        known = [self._asked] if self._reads_committed else [self._asked, self._fetched]
        return _newest(keys, *known)


def _newest(
    keys: Collection[TopicPartition], *known: Mapping[TopicPartition, _Seen]
) -> dict[TopicPartition, End]:
    now, ends = monotonic(), dict[TopicPartition, End]()
    for key in keys:
        seen = [each[key] for each in known if key in each]
        if seen:
            last = max(seen, key=lambda each: (each.at, each.offset))
            ends[key] = End(last.offset, max(0.0, now - last.at))
    return ends
