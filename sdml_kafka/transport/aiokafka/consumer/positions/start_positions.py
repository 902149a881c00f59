# pyright: basic
# aiokafka is not typed.
"""Find the offsets that the partitions of an assignment are read from.

Partitions are paused from the moment they are assigned until every one of them has its position:
before that, nobody may get a record of any. `CommittedStart` is what a listener and a server use,
`TailStart` (in `tail_positions.py`) what a client uses for its replies.
"""

import asyncio
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
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit, Jump
from sdml_kafka.transport.rules.start_rules import NoStart, StartRules

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
    """True if reading goes on after a rebalance where it was before."""

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
    """Starts where the group has committed, else as the user's consumer says: see `StartRules`."""

    keeps_positions = False

    def __init__(self, consumer: Client, topics: Topics, bounds: LogBounds) -> None:
        self._consumer = consumer
        self._topics = topics
        self._bounds = bounds
        self._commits: Mapping[TopicPartition, Commit] | None = None
        """The group's commits, once they were answered for this assignment."""
        never_resets = internals.never_resets(consumer)
        # Where an offset is gone that was to be read next, what is left is read.
        reset: Any = "none" if never_resets else internals.reset_to_earliest(consumer)
        self._rules = StartRules(reset, reads_committed=internals.reads_committed(consumer))

    def hold(self, assigned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        hold_partitions(self._consumer, assigned)
        self._commits = None  # another member may have committed since
        self._bounds.forget()
        return frozenset(assigned)

    async def look_back(self) -> None:
        if self._rules.looks_back:
            commits = await internals.commits(self._consumer, self._topics.partitions())
            self._rules.note_read_before({partition.topic for partition in commits})

    async def look_up(
        self, partitions: Sequence[TopicPartition], read_to: Mapping[TopicPartition, int]
    ) -> FoundPositions | None:
        if (commits := self._commits) is None:
            topics = {partition.topic for partition in partitions}
            siblings = {each for each in self._topics.partitions() if each.topic in topics}
            every = siblings.union(partitions)
            commits = self._commits = await internals.commits(self._consumer, every)
        if (bounds := await self._bounds.look_up(partitions)) is None:
            return None
        try:
            started = self._rules.start(partitions, commits, bounds, self._topics.at_start)
        except NoStart as none:
            if none.committed is None:
                raise NoOffsetForPartitionError([none.partition]) from None
            raise OffsetOutOfRangeError({none.partition: none.committed}) from None
        return FoundPositions(started.positions, started.committed, partitions, jumps=started.jumps)

    def note_commit(self, topics: Collection[str]) -> None:
        self._rules.note_commit(topics)


def hold_partitions(consumer: Client, assigned: Collection[TopicPartition]) -> None:
    """Let nothing be fetched of these partitions, and no position be looked up."""
    for partition in map(as_client, assigned):
        consumer.pause(partition)
        # With any position aiokafka does not look for one itself.
        consumer.seek(partition, 0)
