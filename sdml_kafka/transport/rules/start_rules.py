"""Decide where a group begins to read its partitions. Pure.

Partitions that have appeared since the group began to read their topic start at their beginning. A
partition without a commit counts as such where the group had commits of other partitions before
this consumer joined it, or where that is not known. A commit that came later is of a group that
begins, of which another member was faster.

Both drivers for a real broker use these rules.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from attrs import frozen

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import DELETED, REPLACED, Commit, Jump

Reset = Literal["earliest", "latest", "none"]
"""Where a partition begins that has no commit, or one that is gone: `auto_offset_reset`."""


class NoStart(Exception):
    """The reset is "none", and a partition has no commit, or one that is gone."""

    def __init__(self, partition: TopicPartition, committed: int | None) -> None:
        super().__init__(partition, committed)
        self.partition = partition
        self.committed = committed


@frozen
class Started:
    """Where partitions are read from."""

    positions: Mapping[TopicPartition, int]
    committed: Mapping[TopicPartition, Commit | None]
    jumps: Sequence[Jump]
    """Where that is not what the group has committed, since that is gone."""


class StartRules:
    """The rules for the partitions of one consumer, and what they have to know of the past."""

    def __init__(self, reset: Reset, *, reads_committed: bool) -> None:
        self._reset = reset
        self._reads_committed = reads_committed
        self._read_before: frozenset[str] | None = None
        self._known: set[str] = set()
        """The topics that this consumer was assigned partitions of."""
        self._committed_topics: set[str] = set()
        """The topics for which the group has had commits in this consumer's time."""

    @property
    def looks_back(self) -> bool:
        """True if it matters what the group has read before; else all begins at its beginning."""
        return self._reset != "earliest"

    def note_read_before(self, topics: Collection[str]) -> None:
        """Note the topics of which the group had commits before this consumer joins it."""
        self._read_before = frozenset(topics)

    def note_commit(self, topics: Collection[str]) -> None:
        """Note that there are commits of these topics from now on."""
        self._committed_topics.update(topics)

    def start(
        self,
        partitions: Collection[TopicPartition],
        commits: Mapping[TopicPartition, Commit],
        bounds: Mapping[TopicPartition, tuple[int, int]],
        at_start: Collection[TopicPartition],
    ) -> Started:
        """Return where to read from.

        Args:
            partitions: The partitions that were assigned.
            commits: What the group has committed of their topics.
            bounds: The first offset of each partition, and the one behind its last record.
            at_start: The partitions that existed as this consumer was started.

        Raises:
            NoStart: A partition has no offset to start at, and may not begin anywhere else.
        """
        read_now = {partition.topic for partition in commits}
        committed = {each: commits.get(each) for each in partitions}
        positions = {
            each: self._position(each, commit, *bounds[each], read_now, at_start)
            for each, commit in committed.items()
        }
        self._known.update(partition.topic for partition in partitions)
        self._committed_topics |= read_now
        jumps = [
            Jump(each, before.offset, at, REPLACED if before.offset > bounds[each][1] else DELETED)
            for each, at in positions.items()
            if (before := committed[each]) is not None and before.offset != at
        ]
        return Started(positions, committed, jumps)

    def _position(
        self,
        partition: TopicPartition,
        commit: Commit | None,
        first: int,
        end: int,
        read_now: Collection[str],
        at_start: Collection[TopicPartition],
    ) -> int:
        if commit is None:
            if partition not in at_start or self._has_appeared(partition.topic, read_now):
                return first
            if self._reset == "none":
                raise NoStart(partition, None)
            return first if self._reset == "earliest" else end
        committed = commit.offset
        if first <= committed <= end:
            return committed
        if committed > end and self._reads_committed:
            return committed  # `end` is where the first open transaction begins
        if self._reset == "none":
            raise NoStart(partition, committed)
        # Of a topic that was read before, a log that ends too early is of a topic created anew.
        was_read = partition.topic in self._known
        from_end = committed > end and self._reset != "earliest" and not was_read
        return end if from_end else first

    def _has_appeared(self, topic: str, read_now: Collection[str]) -> bool:
        """Return whether a partition without a commit came after the group began with its topic.

        `read_now` has the topics of which the group has commits.
        """
        if topic in read_now:
            return self._read_before is None or topic in self._read_before
        return topic in self._committed_topics  # commits are gone, as the topic was deleted
