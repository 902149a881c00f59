# pyright: basic
# aiokafka is not typed.
"""The way of records to their partitions: which one each takes, and what is on its way there."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import randrange
from typing import Any

from aiokafka import TopicPartition as ClientPartition
from aiokafka.partitioner import DefaultPartitioner
from attrs import define, field

from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.producer import internals as private
from sdml_kafka.transport.interfaces import Message, OnSent

Entry = tuple[Message, OnSent, Callable[[], bool]]
"""What `Producer.send` was called with."""

MAX_RECORDS = 1 << 30


@define(eq=False)
class Lane:
    """The way to one partition."""

    place: Any
    builder: Any = None
    """The batch that records are added to while it has not left and has room."""
    entries: list[Entry] = field(factory=list[Entry])
    """Those in that batch."""
    admission: "asyncio.Task[Any] | None" = None
    """Waits until aiokafka takes another batch; one at a time, since all of them would wake for
    each other's turn."""
    queue: deque[Entry] = field(factory=deque[Entry])
    """What waits behind it."""
    most_records: int = MAX_RECORDS
    """In a batch; less after the broker found a batch too large."""

    @property
    def is_idle(self) -> bool:
        return self.builder is None and self.admission is None and not self.queue


class Route:
    """The partitions of a topic, as the metadata shows them."""

    def __init__(self, numbers: Sequence[int], available: Sequence[int]) -> None:
        self.numbers: list[int] = sorted(numbers)
        self._available = sorted(available) or self.numbers
        self._only = self.numbers[0] if len(self.numbers) == 1 else None
        self._turn = randrange(len(self._available))
        self.lanes: dict[int, Lane] = {}

    def choose(self, key: bytes | None, partitioner: Any, *, by_key: bool) -> int:
        """aiokafka's own partitioner takes any partition for a record without a key; in turn
        they are more evenly loaded, as the servers behind them will be."""
        if type(partitioner) is not DefaultPartitioner:
            return int(partitioner(key, self.numbers, self._available))
        if self._only is not None:
            return self._only
        if key is None or not by_key:
            self._turn = turn = (self._turn + 1) % len(self._available)
            return self._available[turn]
        return int(partitioner(key, self.numbers, self._available))


class Lanes:
    def __init__(self, producer: Client) -> None:
        self._cluster = producer.client.cluster
        self._partitioner = private.partitioner(producer)
        self._seen: Any = None
        self._routes: dict[str, Route] = {}
        self._lanes: dict[Any, Lane] = {}

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    def find(self, message: Message) -> Lane | None:
        """None: the metadata does not show such a topic or partition (yet)."""
        topic, _, key, _, partition, by_key = message
        by_topic = private.partitions_by_topic(self._cluster)
        if by_topic is not self._seen:
            self._seen = by_topic
            self._routes.clear()
        route = self._routes.get(topic)
        if route is None and (route := self._look(topic)) is None:
            return None
        if partition is None:
            partition = route.choose(key, self._partitioner, by_key=by_key)
        lane = route.lanes.get(partition)
        if lane is None and partition in route.numbers:
            lane = route.lanes[partition] = self._lane(topic, partition)
        return lane

    def prune(self) -> None:
        """Forget the ways that lead nowhere any more: topics come and go."""
        for place, lane in list(self._lanes.items()):
            if lane.is_idle and not self.count(place.topic):
                del self._lanes[place]

    def topics(self) -> set[str]:
        return {place.topic for place in self._lanes}

    def count(self, topic: str) -> int:
        """Of its partitions; 0: there is no such topic."""
        return len(private.partitions_by_topic(self._cluster).get(topic) or ())

    def is_known(self, message: Message) -> bool:
        numbers = private.partitions_by_topic(self._cluster).get(message.topic)
        if not numbers:
            return False
        return message.partition is None or message.partition in numbers

    def _look(self, topic: str) -> Route | None:
        numbers = self._cluster.partitions_for_topic(topic)
        if not numbers:
            return None
        available = self._cluster.available_partitions_for_topic(topic)
        route = self._routes[topic] = Route(numbers, available)
        return route

    def _lane(self, topic: str, partition: int) -> Lane:
        place = ClientPartition(topic, partition)
        if (lane := self._lanes.get(place)) is None:
            lane = self._lanes[place] = Lane(place)
        return lane
