# pyright: basic
# aiokafka is not typed.
"""Find the offsets that the partitions of an assignment are read from.

Partitions are paused from the moment they are assigned until every one of them has its position:
before that, nobody may get a record of any. `CommittedStart` is what a listener and a server use,
`TailStart` (in `tail_positions.py`) what a client uses for its replies.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from attrs import frozen

from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import Client, error_of
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.internals import as_client
from sdml_kafka.transport.aiokafka.consumer.positions.log_bounds import LogBounds
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import DELETED, REPLACED, Commit, Jump

POSITION_TIMEOUT_S = 5.0

Committed = Mapping[TopicPartition, Commit | None]


@frozen
class FoundPositions:
    positions: Mapping[TopicPartition, int]
    """The offset that each partition is read from."""
    committed: Committed
    to_seek: Collection[TopicPartition]
    """The partitions whose position aiokafka does not have yet."""
    elsewhere: frozenset[TopicPartition] = frozenset()
    jumps: Sequence[Jump] = ()
    """Where that is not what the group has committed, since that is gone."""


class StartPositions(Protocol):
    keeps_positions: bool
    """Whether reading goes on after a rebalance where it was before."""

    def hold(self, assigned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        """Pause what was assigned, and return the partitions that will be read.

        Heartbeats stand still meanwhile, so this only notes things.
        """
        ...

    async def look_back(self) -> None:
        """Note what the group has read before, ahead of joining it."""

    def note_commit(self, topics: Collection[str]) -> None:
        """Note that there are commits of these topics from now on."""

    async def look_up(
        self, partitions: Sequence[TopicPartition], read_to: Mapping[TopicPartition, int]
    ) -> FoundPositions | None:
        """Return where to read from, None if that is to be asked again.

        `read_to` is the offset that reading has come to in partitions that were read before.
        """
        ...


async def look_up_in_time(
    start: StartPositions,
    partitions: Collection[TopicPartition],
    read_to: Mapping[TopicPartition, int],
) -> FoundPositions | None:
    """Return where to read from, None if that was not known in time or is to be asked again."""
    work = asyncio.create_task(start.look_up(list(partitions), read_to))
    # asyncio logs an error that nobody looks at, and nobody does after the timeout.
    work.add_done_callback(error_of)
    try:
        done, _ = await asyncio.wait({work}, timeout=POSITION_TIMEOUT_S)
    finally:
        work.cancel()
    if not done:
        await asyncio.wait({work})
        return None
    if (error := error_of(work)) is None:
        return work.result()
    if (final := error_mapping.from_poll(error)) is not None:
        raise final from error
    return None


def start_reading(consumer: Client, found: FoundPositions) -> None:
    """Let the partitions be fetched from the positions that were found."""
    for partition in found.to_seek:
        # Not earlier: while aiokafka resolves a position, it overwrites what was sought.
        consumer.seek(as_client(partition), found.positions[partition])
    consumer.resume(*map(as_client, found.positions))


class CommittedStart:
    """Starts where the group has committed, else as the user's consumer says.

    Partitions that have appeared since the group began to read their topic start at their
    beginning. A partition without a commit counts as such where the group had commits of other
    partitions before this consumer joined it, or where that is not known. A commit that came later
    is of a group that begins, of which another member was faster.
    """

    keeps_positions = False

    def __init__(self, consumer: Client, topics: Topics, bounds: LogBounds) -> None:
        self._consumer = consumer
        self._topics = topics
        self._bounds = bounds
        self._commits: Mapping[TopicPartition, Commit] | None = None
        """What the group has committed, once that was answered for this assignment."""
        self._read_before: frozenset[str] | None = None
        """The topics of which the group had commits before this consumer joined it, None if that
        is not known."""
        self._known: set[str] = set()
        """The topics that this consumer was assigned partitions of."""
        self._never_resets = internals.never_resets(consumer)
        self._committed_topics: set[str] = set()
        """The topics for which the group has had commits in this consumer's time."""
        # Where an offset is gone that was to be read next, what is left is read.
        self._reset = "none" if self._never_resets else internals.reset_to_earliest(consumer)

    def hold(self, assigned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        hold_partitions(self._consumer, assigned)
        self._commits = None  # another member may have committed since
        self._bounds.forget()
        return frozenset(assigned)

    async def look_back(self) -> None:
        if self._reset == "earliest":
            return  # every partition begins at its beginning
        commits = await internals.commits(self._consumer, self._topics.partitions())
        self._read_before = frozenset(partition.topic for partition in commits)

    async def look_up(
        self, partitions: Sequence[TopicPartition], read_to: Mapping[TopicPartition, int]
    ) -> FoundPositions | None:
        topics = {partition.topic for partition in partitions}
        if (commits := self._commits) is None:
            siblings = {each for each in self._topics.partitions() if each.topic in topics}
            every = siblings.union(partitions)
            commits = self._commits = await internals.commits(self._consumer, every)
        if (bounds := await self._bounds.look_up(partitions)) is None:
            return None
        committed = {each: commits.get(each) for each in partitions}
        read_now = {partition.topic for partition in commits}
        positions = {
            each: self._position(each, committed[each], *bounds[each], read_now)
            for each in partitions
        }
        self._known |= topics
        self._committed_topics |= read_now
        jumps = [
            Jump(each, before.offset, at, REPLACED if before.offset > bounds[each].end else DELETED)
            for each, at in positions.items()
            if (before := committed[each]) is not None and before.offset != at
        ]
        return FoundPositions(positions, committed, partitions, jumps=jumps)

    def note_commit(self, topics: Collection[str]) -> None:
        self._committed_topics.update(topics)

    def _position(
        self,
        partition: TopicPartition,
        commit: Commit | None,
        first: int,
        end: int,
        read_now: Collection[str],
    ) -> int:
        if commit is None:
            if self._has_appeared(partition, read_now):
                return first
            if self._never_resets:
                raise NoOffsetForPartitionError([partition])
            return first if self._reset == "earliest" else end
        committed = commit.offset
        if first <= committed <= end:
            return committed
        if committed > end and internals.reads_committed(self._consumer):
            return committed  # `end` is where the first open transaction begins
        if self._never_resets:
            raise OffsetOutOfRangeError({partition: committed})
        # Of a topic that was read before, a log that ends too early is of a topic created anew.
        was_read = partition.topic in self._known
        from_end = committed > end and self._reset != "earliest" and not was_read
        return end if from_end else first

    def _has_appeared(self, partition: TopicPartition, read_now: Collection[str]) -> bool:
        """Return whether a partition without a commit came after the group began with its topic.

        `read_now` has the topics of which the group has commits.
        """
        topic = partition.topic
        if partition not in self._topics.at_start:
            return True
        if topic in read_now:
            return self._read_before is None or topic in self._read_before
        return topic in self._committed_topics  # commits are gone, as the topic was deleted


def hold_partitions(consumer: Client, assigned: Collection[TopicPartition]) -> None:
    """Let nothing be fetched of these partitions, and no position be looked up."""
    for partition in map(as_client, assigned):
        consumer.pause(partition)
        # With any position aiokafka does not look for one itself.
        consumer.seek(partition, 0)
