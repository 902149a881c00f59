"""Reads some dead letters through the port, in no group: the newest ones, or the one at a place.

It ends where the topic ended when it began, and holds a poll's records at most.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from attrs import field, frozen

from sdml_kafka.errors import TopicMissing
from sdml_kafka.transport.interfaces.consumer import POLL_TIMEOUT_S, Connect, Consumer
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import Tail

MAX_POLLED = 100
"""The number of records of a partition that are in hand at once."""


@frozen
class Log:
    """A topic as it was when a consumer was opened for it."""

    consumer: Consumer
    epoch: int
    firsts: Mapping[TopicPartition, int]
    """The lowest offset of each partition."""
    ends: Mapping[TopicPartition, int]
    timeout_s: float
    _seeks: list[int] = field(factory=lambda: [1])

    async def read(
        self, begin: Mapping[TopicPartition, int], take: Callable[[Record], bool]
    ) -> None:
        """Call `take` with the records from these offsets on, until it returns False."""
        if not begin:
            return
        self._seeks.append(self._seeks[-1] + 1)
        seek = self._seeks[-1]
        await self.consumer.seek(self.epoch, seek, begin, self.timeout_s)
        at = dict(begin)
        while ready := [place for place, offset in at.items() if offset < self.ends[place]]:
            polled = await self.consumer.poll(ready, MAX_POLLED, POLL_TIMEOUT_S, seek)
            for place, records in polled.records.items():
                for record in records:
                    at[place] = record.offset + 1
                    if record.offset < self.ends[place] and not take(record):
                        return
            at |= {place: offset for place, offset in polled.positions.items() if place in at}


@asynccontextmanager
async def open_log(connect: Connect, topic: str, timeout_s: float) -> AsyncGenerator[Log]:
    """Look where a topic begins and ends; the caller bounds it all.

    Raises:
        SdmlKafkaError: No broker answers, the topic does not exist, or may not be read.
    """
    async with connect() as consumer:
        await consumer.start([topic], timeout_s, Tail())
        while True:
            polled = await consumer.poll((), 1, POLL_TIMEOUT_S)
            if polled.assignment is not None and polled.assignment.positions:
                break
            if polled.health is not None and topic in polled.health.missing_topics:
                raise TopicMissing(f"there is no topic {topic!r}")
        epoch, ends = polled.assignment.epoch, polled.assignment.positions
        firsts = await consumer.seek(epoch, 1, dict.fromkeys(ends, "earliest"), timeout_s)
        yield Log(consumer, epoch, firsts, ends, timeout_s)


async def read_newest(log: Log, most: int, take: Callable[[Record], object]) -> None:
    """Call `take` with about the newest `most` records of a topic, some of each partition."""
    each = max(1, most if len(log.ends) <= MAX_WHOLE else MAX_WHOLE * most // len(log.ends))
    begin = {place: max(log.firsts[place], end - each) for place, end in log.ends.items()}

    def take_on(record: Record) -> bool:
        take(record)
        return True

    await log.read(begin, take_on)


async def read_one(log: Log, place: TopicPartition, offset: int) -> Record | None:
    """Return the record at a place, None if there is none."""
    if not log.firsts.get(place, 0) <= offset < log.ends.get(place, 0):
        return None
    found: list[Record] = []

    def take(record: Record) -> bool:
        if record.offset == offset:
            found.append(record)
        return False

    await log.read({place: offset}, take)
    return found[0] if found else None


MAX_WHOLE = 10
"""The number of partitions of each of which all of the newest records are read; of more, fewer."""
