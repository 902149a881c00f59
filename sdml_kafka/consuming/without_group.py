"""Reads topics, or some of their partitions, from a given offset on, in no consumer group.

A wrapper around the port's consumer. A client without a group reads a `Tail`; here it begins where
the options say. What is committed is kept in memory, for the next consumer after a crash.
"""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from attrs import evolve, frozen

from sdml_kafka.client_config import ClientConfig
from sdml_kafka.errors import CommitRejected, ConfigurationError
from sdml_kafka.transport.client_choice import ClientArguments
from sdml_kafka.transport.connect import rpc_transport
from sdml_kafka.transport.interfaces.consumer import Connect, Consumer, Target
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import (
    Assignment,
    Commit,
    ConsumerSettings,
    Polled,
    Revocation,
    Tail,
)
from sdml_kafka.transport.interfaces.transactions import GroupMetadata


@frozen
class Reading:
    """The records to read, and the place to begin at."""

    partitions: frozenset[int]
    """The numbers of the partitions; empty for all of them."""
    offset: int | Literal["earliest", "latest"]
    option_prefix: str = "--"
    """The text before `partition` and `offset` in errors, empty unless these are options."""


def connect_without_group(config: ClientConfig, bootstrap: str, client_id: str) -> Connect:
    """Return the function that opens the client's consumers, which join no group."""
    options, choice = config.consumer_choice(client_id)
    given = ClientArguments(bootstrap_servers=bootstrap, aiokafka_options=options, choice=choice)
    return rpc_transport(given).consumer


class WithoutGroup:
    """Opens consumers that are in no group; a `Connect`."""

    def __init__(
        self, connect: Connect, reading: Reading, read_to: Mapping[TopicPartition, int] = {}
    ) -> None:
        """Begin.

        Args:
            connect: Opens the client's consumers.
            reading: The records to read.
            read_to: The offsets to begin at where that is somewhere else.
        """
        self._connect = connect
        self._reading = reading
        self._read_to = dict(read_to)

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[Consumer]:
        """Open a consumer that goes on where an earlier one was."""
        async with self._connect() as consumer:
            yield ConsumerWithoutGroup(consumer, self._reading, self._read_to)


class ConsumerWithoutGroup:
    """A consumer that is in no group; `read_to` takes its commits."""

    def __init__(
        self, consumer: Consumer, reading: Reading, read_to: dict[TopicPartition, int]
    ) -> None:
        self._consumer = consumer
        self._reading = reading
        self._read_to = read_to
        self._began_with = dict(read_to)
        self._assigned: frozenset[TopicPartition] = frozenset()

    @property
    def settings(self) -> ConsumerSettings:
        """The settings of the consumer below."""
        return self._consumer.settings

    async def start(
        self,
        topics: Collection[str],
        timeout_s: float,
        tail: Tail | None = None,
        *,
        create_topics: bool = False,
        skips_corrupt: bool = False,
    ) -> None:
        """Connect, and begin where an earlier consumer was, else where the options say."""
        positions = dict(self._began_with)
        if self._reading.offset != "latest":
            # Partitions that a tail does not name begin at their beginning if others are named.
            at = 0 if self._reading.offset == "earliest" else self._reading.offset
            for topic in topics:
                for number in self._reading.partitions or {0}:
                    positions.setdefault(TopicPartition(topic, number), at)
        options = {"create_topics": create_topics, "skips_corrupt": skips_corrupt}
        await self._consumer.start(topics, timeout_s, Tail(positions), **options)

    async def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Polled:
        """Wait for records of the partitions that are read."""
        polled = await self._consumer.poll(ready, max_records, timeout_s, seeks)
        if polled.assignment is None:
            return polled
        return evolve(polled, assignment=self._addition(polled.assignment))

    async def seek(
        self,
        epoch: int,
        number: int,
        targets: Mapping[TopicPartition, Target],
        timeout_s: float,
        *,
        within_log: bool = False,
    ) -> Mapping[TopicPartition, int]:
        """Read from elsewhere on."""
        wanted = epoch, number, targets, timeout_s
        return await self._consumer.seek(*wanted, within_log=within_log)

    def _addition(self, assignment: Assignment) -> Assignment | None:
        """Return the assignment of what is read from now on as well; None if that is nothing."""
        wanted = self._reading.partitions
        positions = {
            key: at
            for key, at in assignment.positions.items()
            if key not in self._assigned and (not wanted or key.partition in wanted)
        }
        if not self._assigned:
            self._check(assignment.positions, positions)
        elif not positions:
            return None
        addition = evolve(assignment, positions=positions, adds=bool(self._assigned))
        self._assigned = self._assigned.union(positions)
        return addition

    def _check(
        self, present: Collection[TopicPartition], positions: Mapping[TopicPartition, int]
    ) -> None:
        """Raise a ConfigurationError for a partition or an offset that is not there."""
        prefix = self._reading.option_prefix
        for topic in {key.topic for key in present}:
            numbers = {key.partition for key in present if key.topic == topic}
            if missing := sorted(self._reading.partitions - numbers):
                raise ConfigurationError(
                    f"{prefix}partition {missing[0]}: {topic!r} has {len(numbers)}, numbered from 0"
                )
        offset = self._reading.offset
        if isinstance(offset, int):
            for key, at in positions.items():
                if key not in self._began_with and at != offset:
                    where = f"begins at {at}" if at > offset else "ends before it"
                    raise ConfigurationError(
                        f"{prefix}offset {offset}: partition {key.partition} of "
                        f"{key.topic!r} {where}"
                    )

    def sizes(self, records: Sequence[Record]) -> Sequence[int]:
        """Return the bytes of each record."""
        return self._consumer.sizes(records)

    def nudge(self) -> None:
        """Make a poll that waits return now."""
        self._consumer.nudge()

    async def revocation(self) -> Revocation:
        """Wait for ever: without a group others never get what is read here."""
        while True:
            (await self._consumer.revocation()).release()

    async def commit(
        self, epoch: int, commits: Mapping[TopicPartition, Commit], timeout_s: float
    ) -> None:
        """Keep the offsets in memory."""
        self._read_to.update((key, commit.offset) for key, commit in commits.items())

    async def group_metadata(
        self, epoch: int, partitions: Collection[TopicPartition], timeout_s: float
    ) -> GroupMetadata:
        """Reject every transaction: nothing is committed for anybody."""
        raise CommitRejected("the consumer is in no group")

    async def close(self, timeout_s: float) -> None:
        """Close every socket and task."""
        await self._consumer.close(timeout_s)
