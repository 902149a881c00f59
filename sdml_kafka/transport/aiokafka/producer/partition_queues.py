# pyright: basic
# aiokafka is not typed.
"""Choose each record's partition, and keep the records that are on their way there."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import randrange
from typing import Any

from aiokafka import TopicPartition as ClientPartition
from aiokafka.partitioner import DefaultPartitioner
from attrs import define, field

from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.producer import internals
from sdml_kafka.transport.interfaces.producer import Message, OnSent

Entry = tuple[Message, OnSent, Callable[[], bool]]
"""The arguments of a `Producer.send`."""

MAX_RECORDS = 1 << 30


@define(eq=False)
class PartitionQueue:
    """The records on their way to one partition, in order."""

    partition: Any
    builder: Any = None
    """The batch that records are added to while it has not left and has room."""
    entries: list[Entry] = field(factory=list[Entry])
    """The records in that batch."""
    opened_at: float = 0.0
    """The loop's time when that batch was begun."""
    admission: "asyncio.Task[Any] | None" = None
    """The wait for aiokafka to take another batch. There is one at a time, since all of them would
    wake for each other's turn."""
    waiting: deque[Entry] = field(factory=deque[Entry])
    """The records that wait to be moved into a batch."""
    is_due: bool = False
    """True if they are moved in one of the next turns."""
    max_records: int = MAX_RECORDS
    """The number of records in a batch at most; less once the broker found a batch too large."""

    @property
    def is_idle(self) -> bool:
        return self.builder is None and self.admission is None and not self.waiting


class TopicRoute:
    """The partitions of a topic, as the metadata shows them, and which one comes next."""

    def __init__(self, numbers: Sequence[int], available: Sequence[int], partitioner: Any) -> None:
        self.numbers: list[int] = sorted(numbers)
        self._available = sorted(available) or self.numbers
        self._partitioner = partitioner
        self._is_usual = type(partitioner) is DefaultPartitioner
        is_alone = len(self.numbers) == 1 and self._is_usual
        self.only: int | None = self.numbers[0] if is_alone else None
        """The partition of every record, None if there is a choice."""
        self._turn = randrange(len(self._available))
        self.queues: dict[int, PartitionQueue] = {}

    def choose(self, key: bytes | None, *, by_key: bool) -> int:
        """Return the partition of a record that names none, where there is a choice.

        aiokafka's own partitioner draws one for a record without a key. Taking turns loads them
        more evenly, and so the servers that read them.
        """
        if self._is_usual and (key is None or not by_key):
            self._turn = turn = (self._turn + 1) % len(self._available)
            return self._available[turn]
        return int(self._partitioner(key, self.numbers, self._available))


class PartitionQueues:
    """The queues of all partitions that one producer sends to."""

    def __init__(self, producer: Client) -> None:
        self._cluster = producer.client.cluster
        self._partitioner = internals.partitioner(producer)
        self._seen: Any = None
        """The metadata that the routes were made of."""
        self._routes: dict[str, TopicRoute] = {}
        self._queues: dict[Any, PartitionQueue] = {}

    def __iter__(self) -> Iterator[PartitionQueue]:
        return iter(list(self._queues.values()))

    def find(self, message: Message) -> PartitionQueue | None:
        """Return a record's queue, None if the metadata shows no such topic or partition (yet)."""
        topic, _, key, _, partition, by_key, _, _ = message
        by_topic = internals.partitions_by_topic(self._cluster)
        if by_topic is not self._seen:
            self._seen = by_topic
            self._routes.clear()
        route = self._routes.get(topic)
        if route is None and (route := self._route(topic)) is None:
            return None
        if partition is None and (partition := route.only) is None:
            partition = route.choose(key, by_key=by_key)
        queue = route.queues.get(partition)
        if queue is None and partition in route.numbers:
            queue = route.queues[partition] = self._queue(topic, partition)
        return queue

    def prune(self) -> None:
        """Forget the queues of topics that are gone; topics come and go."""
        for partition, queue in list(self._queues.items()):
            if queue.is_idle and not self.count(partition.topic):
                del self._queues[partition]

    def topics(self) -> set[str]:
        return {partition.topic for partition in self._queues}

    def count(self, topic: str) -> int:
        """Return the topic's number of partitions, 0 if it is not known to exist."""
        return len(internals.partitions_by_topic(self._cluster).get(topic) or ())

    def is_known(self, message: Message) -> bool:
        """Return whether the metadata shows the topic and the partition of a record."""
        numbers = internals.partitions_by_topic(self._cluster).get(message.topic)
        if not numbers:
            return False
        return message.partition is None or message.partition in numbers

    def _route(self, topic: str) -> TopicRoute | None:
        numbers = self._cluster.partitions_for_topic(topic)
        if not numbers:
            return None
        available = self._cluster.available_partitions_for_topic(topic)
        route = self._routes[topic] = TopicRoute(numbers, available, self._partitioner)
        return route

    def _queue(self, topic: str, number: int) -> PartitionQueue:
        partition = ClientPartition(topic, number)
        if (queue := self._queues.get(partition)) is None:
            queue = self._queues[partition] = PartitionQueue(partition)
        return queue
