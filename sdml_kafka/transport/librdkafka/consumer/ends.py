"""Where partitions end, and when that was seen.

Fetches show where logs end, but not when that was: what has changed since the last look was seen
after it. Where what a consumer may read ends, brokers are asked, each once in a while.
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
MAX_INTERVAL_S = 30.0
"""Seconds between two requests while brokers do not answer."""


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
        self._interval_s = ASK_INTERVAL_S

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask the brokers."""
        return monotonic() >= self._ask_at

    def ask(self, keys: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask brokers, and return what they have answered; in the member's thread."""
        asked_at, ends = monotonic(), dict[TopicPartition, int]()
        try:
            if keys:
                ends = self._lookups.offsets(dict.fromkeys(keys, END))
                self._obstacles.note_connection()
        finally:
            if keys and len(ends) == len(keys):
                self._obstacles.answered()
            self._note(ends, asked_at, all_have_answered=len(ends) == len(keys))
        return ends

    def _note(
        self, ends: Mapping[TopicPartition, int], asked_at: float, *, all_have_answered: bool
    ) -> None:
        self._asked = {
            **self._asked,
            **{key: _Seen(end, asked_at) for key, end in ends.items() if end >= 0},
        }
        least_s = max(ASK_INTERVAL_S, ASK_INTERVAL_OF_EACH_S * len(ends))
        self._interval_s = (
            least_s if all_have_answered else min(MAX_INTERVAL_S, 2 * self._interval_s)
        )
        self._ask_at = monotonic() + self._interval_s

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
