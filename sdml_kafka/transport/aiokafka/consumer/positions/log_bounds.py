# pyright: basic
# aiokafka is not typed.
"""Ask where the logs of partitions begin and end, and keep each answer.

Each broker is asked twice, however many partitions it leads: once for all beginnings, once for all
ends. With thousands of partitions some are often between two leaders, or not created everywhere
yet. So what is answered is kept, and the next call asks for the rest alone.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from aiokafka.protocol.offset import OffsetResetStrategy

from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.interfaces.records import TopicPartition


class Bounds(NamedTuple):
    """Where a log begins and ends."""

    first: int
    end: int
    """The offset behind the last record that this consumer may read."""


class LogBounds:
    """The bounds of the partitions of one assignment, as far as they have been answered."""

    def __init__(
        self, consumer: Client, note_ends: Callable[[Mapping[TopicPartition, int], float], None]
    ) -> None:
        """Begin without any.

        Args:
            consumer: Asks the brokers.
            note_ends: Called with the ends that a broker has named, and when it was asked.
        """
        self._consumer = consumer
        self._note_ends = note_ends
        self._known: dict[TopicPartition, Bounds] = {}

    def forget(self) -> None:
        """Ask anew for each partition, since others may write and commit from now on."""
        self._known = {}

    async def look_up(
        self, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, Bounds] | None:
        """Return the bounds of these partitions, None if some have to be asked for again.

        Raises:
            Exception: What aiokafka raises for a broker that does not answer, or that does not
                allow this. The answers of other brokers are kept.
        """
        known = self._known
        by_leader = defaultdict[int | None, list[TopicPartition]](list)
        for partition in partitions:
            if partition not in known:
                by_leader[internals.leader(self._consumer, partition)].append(partition)
        requests = [
            self._ask(leader, led, known) for leader, led in by_leader.items() if leader is not None
        ]
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        if all(partition in known for partition in partitions):
            return known
        await internals.refresh_metadata(self._consumer)  # others may lead them by now
        for failure in outcomes:
            if failure is not None:
                raise failure
        return None

    async def _ask(
        self,
        leader: int,
        partitions: Sequence[TopicPartition],
        known: dict[TopicPartition, Bounds],
    ) -> None:
        asked_at = asyncio.get_running_loop().time()
        (first, refusal), (ends, _) = await asyncio.gather(
            internals.list_offsets(
                self._consumer, leader, partitions, OffsetResetStrategy.EARLIEST
            ),
            internals.list_offsets(self._consumer, leader, partitions, OffsetResetStrategy.LATEST),
        )
        self._note_ends(ends, asked_at)
        known.update(
            (each, Bounds(first[each], end)) for each, end in ends.items() if each in first
        )
        if refusal is not None:
            raise refusal
