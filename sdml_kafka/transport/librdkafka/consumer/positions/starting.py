"""Where the partitions of an assignment are read from, for a group and for a tail."""

from collections.abc import Collection, Mapping
from typing import Protocol

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit, Tail
from sdml_kafka.transport.librdkafka.consumer.failures import no_start
from sdml_kafka.transport.librdkafka.consumer.topics import Topics
from sdml_kafka.transport.rules.start_rules import NoStart, Started, StartRules
from sdml_kafka.transport.tail_share import TailShare, tail_position

Commits = Mapping[TopicPartition, Commit]
Bounds = Mapping[TopicPartition, tuple[int, int]]


class Start(Protocol):
    """Decides where partitions are read from."""

    is_tail: bool

    def fetched(self, given: Collection[TopicPartition]) -> Collection[TopicPartition]:
        """Return those of the partitions that are read."""
        ...

    def start(self, keys: Collection[TopicPartition], commits: Commits, bounds: Bounds) -> Started:
        """Return where to read from.

        Raises:
            ConfigurationError: A partition has nowhere to begin.
        """
        ...

    def elsewhere(self, owned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        """Return the partitions that other members have; see `Assignment.elsewhere`."""
        ...

    def note_missing(self) -> None:
        """Forget what was read of partitions that do not exist any more."""


class CommittedStart:
    """Starts where the group has committed, else as `auto_offset_reset` says."""

    is_tail = False

    def __init__(self, rules: StartRules, topics: Topics) -> None:
        self._rules = rules
        self._topics = topics

    def fetched(self, given: Collection[TopicPartition]) -> Collection[TopicPartition]:
        return given

    def start(self, keys: Collection[TopicPartition], commits: Commits, bounds: Bounds) -> Started:
        try:
            return self._rules.start(keys, commits, bounds, self._topics.at_start)
        except NoStart as none:
            raise no_start(none) from None

    def elsewhere(self, owned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        return frozenset()

    def note_missing(self) -> None:
        pass


class TailStart:
    """Starts at the end, and after a rebalance where reading was; see `Tail`."""

    is_tail = True

    def __init__(self, tail: Tail, topics: Topics, read_to: dict[TopicPartition, int]) -> None:
        """Begin with where an earlier consumer was.

        Args:
            tail: What to read.
            topics: The topics.
            read_to: The offset that reading has come to in each partition; this adds to it.
        """
        self._share = TailShare(tail)
        self._topics = topics
        self._read_to = read_to
        read_to.update((TopicPartition(*key), at) for key, at in tail.positions.items())

    def fetched(self, given: Collection[TopicPartition]) -> Collection[TopicPartition]:
        return self._share.of(given, self._topics.counts)

    def start(self, keys: Collection[TopicPartition], commits: Commits, bounds: Bounds) -> Started:
        positions = {
            key: tail_position(self._read_to.get(key), self._is_late(key), *bounds[key])
            for key in keys
        }
        return Started(positions, {key: commits.get(key) for key in keys}, ())

    def _is_late(self, key: TopicPartition) -> bool:
        return key not in self._topics.at_start or self._share.continues_all_of(key.topic)

    def elsewhere(self, owned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        return self._topics.partitions().difference(owned)

    def note_missing(self) -> None:
        for key in self._read_to.keys() - self._topics.partitions():
            del self._read_to[key]
