# pyright: basic
# aiokafka is not typed.
"""Find the offsets that the partitions of an assignment are read from.

Partitions are paused from the moment they are assigned until every one of them has its position:
before that, nobody may get a record of any. `CommittedStart` is what a listener and a server use,
`TailStart` (in `tail_positions.py`) what a client uses for its replies.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from attrs import frozen

from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import Client, error_of
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.internals import as_client
from sdml_kafka.transport.aiokafka.consumer.positions.log_bounds import LogBounds
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces import DELETED, REPLACED, Jump, TopicPartition

POSITION_TIMEOUT_S = 5.0
NOTE = "sdml-kafka partitions="
"""What the metadata of a commit begins with."""

Committed = Mapping[TopicPartition, int | None]


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

    def note(self, topic: str) -> str:
        """Return the metadata of the commits of a topic."""
        ...

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
    beginning. What the group knows of that is in its commits: each carries the number of
    partitions that the topic had then. Without that number (another client has committed) each
    partition without a commit counts as having appeared later.
    """

    keeps_positions = False

    def __init__(self, consumer: Client, topics: Topics, bounds: LogBounds) -> None:
        self._consumer = consumer
        self._topics = topics
        self._bounds = bounds
        self._commits: Mapping[Any, Any] | None = None
        """What the group has committed, once that was answered for this assignment."""
        self._began_with: dict[str, int | None] = {}
        """The number of partitions with which the group began to read each topic that this
        consumer was assigned partitions of; None if nobody has noted it."""
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

    async def look_up(
        self, partitions: Sequence[TopicPartition], read_to: Mapping[TopicPartition, int]
    ) -> FoundPositions | None:
        topics = {partition.topic for partition in partitions}
        if (commits := self._commits) is None:
            siblings = {each for each in self._topics.partitions() if each.topic in topics}
            every = list(map(as_client, siblings.union(partitions)))
            commits = self._commits = await internals.commits(self._consumer, every)
        if (bounds := await self._bounds.look_up(partitions)) is None:
            return None
        known = self._began_with.keys() & topics
        self._note_beginnings(topics, commits)
        committed = {each: commits[each].offset if each in commits else None for each in partitions}
        positions = {
            each: self._position(each, committed[each], *bounds[each], each.topic in known)
            for each in partitions
        }
        jumps = [
            Jump(each, before, at, REPLACED if before > bounds[each].end else DELETED)
            for each, at in positions.items()
            if (before := committed[each]) is not None and before != at
        ]
        return FoundPositions(positions, committed, partitions, jumps=jumps)

    def _note_beginnings(self, topics: Collection[str], commits: Mapping[Any, Any]) -> None:
        """Note with how many partitions the group began to read each of these topics."""
        notes = defaultdict[str, list[str]](list)
        for partition, commit in commits.items():
            notes[partition.topic].append(commit.metadata)
        at_start = Counter(each.topic for each in self._topics.at_start)
        for topic in topics:
            self._began_with[topic] = self._beginning(topic, notes[topic], at_start[topic])

    def _beginning(self, topic: str, notes: Collection[str], at_start: int) -> int | None:
        """Return with how many partitions the group began to read a topic, if that is known.

        `at_start` is the number of its partitions when this consumer started.
        """
        if not notes:
            # The first to read it: or commits are gone, as they are when a topic is deleted.
            return 0 if topic in self._committed_topics else at_start
        self._committed_topics.add(topic)
        counts = [
            int(note.removeprefix(NOTE))
            for note in notes
            if note.startswith(NOTE) and note.removeprefix(NOTE).isdecimal()
        ]
        return min(counts, default=None)

    def note(self, topic: str) -> str:
        """Return what is kept with each commit of a topic, and note that there is one."""
        self._committed_topics.add(topic)
        count = self._began_with.get(topic)
        return "" if count is None else f"{NOTE}{count}"

    def _position(
        self,
        partition: TopicPartition,
        committed: int | None,
        first: int,
        end: int,
        was_read: bool,
    ) -> int:
        if committed is None:
            count = self._began_with[partition.topic]
            has_appeared = count is None or partition.partition >= count
            if has_appeared or partition not in self._topics.at_start:
                return first
            if self._never_resets:
                raise NoOffsetForPartitionError([partition])
            return first if self._reset == "earliest" else end
        if first <= committed <= end:
            return committed
        if committed > end and internals.reads_committed(self._consumer):
            return committed  # `end` is where the first open transaction begins
        if self._never_resets:
            raise OffsetOutOfRangeError({partition: committed})
        # Of a topic that was read before, a log that ends too early is of a topic created anew.
        from_end = committed > end and self._reset != "earliest" and not was_read
        return end if from_end else first


def hold_partitions(consumer: Client, assigned: Collection[TopicPartition]) -> None:
    """Let nothing be fetched of these partitions, and no position be looked up."""
    for partition in map(as_client, assigned):
        consumer.pause(partition)
        # With any position aiokafka does not look for one itself.
        consumer.seek(partition, 0)


async def committed_offsets(consumer: Client, partitions: Sequence[TopicPartition]) -> Committed:
    found = await internals.commits(consumer, [as_client(each) for each in partitions])
    return {each: int(found[each].offset) if each in found else None for each in partitions}
