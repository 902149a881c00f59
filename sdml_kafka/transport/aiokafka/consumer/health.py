# pyright: basic
# aiokafka is not typed.
"""Look now and then at what the client knows without waiting for the broker.

Where partitions end is known from fetches. But a partition of which records wait already is not
fetched, and just its end may run away. So for partitions without a recent answer the brokers are
asked now and then, each with one request for all of its partitions.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from attrs import frozen

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.connecting import Connecting
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import End, Health

REPORT_INTERVAL_S = 0.2
"""Seconds between two looks, each of which is returned by a poll."""
PARTITION_INTERVAL_S = 0.0001
"""Seconds between two looks for each partition, if there are thousands. A look takes some 10 us for
each, and would keep a core busy."""
MISSING_TOPIC_INTERVAL_S = 0.5
"""Seconds between two refreshes of the metadata while a topic is missing."""
NEW_PARTITIONS_INTERVAL_S = 2.0
"""Seconds between two refreshes for a consumer that is to read new partitions soon."""
RECENT_S = 5.0
"""Seconds after which an answer is no longer recent, and between two rounds of requests."""
TIMELY_LOOK_S = 1.0
"""Seconds between two looks, at most, unless the loop stood still meanwhile."""
CANCEL_TIMEOUT_S = 0.5


class Fetched(NamedTuple):
    """The ends that a fetch has brought."""

    at_ms: int
    """When that was, by aiokafka's clock."""
    at: float
    """When that was at the earliest, by the loop's clock."""
    high_watermark: int
    last_stable: int | None
    """The last stable offset, None if the broker did not name it."""


@frozen
class Ends:
    """Where partitions end."""

    logs: Mapping[TopicPartition, End]
    """The ends of the logs."""
    readable: Mapping[TopicPartition, End]
    """The ends of what this consumer can read; see `Health.ends`."""


class PartitionEnds:
    """The ends of one consumer's partitions, out of fetches and out of requests for them."""

    def __init__(self, consumer: Client) -> None:
        self._consumer = consumer
        self._loop = asyncio.get_running_loop()
        self._reads_committed = internals.reads_committed(consumer)
        self._fetched: dict[TopicPartition, Fetched] = {}
        self._asked: dict[TopicPartition, tuple[int, float]] = {}
        """The last answer for each partition, and when the broker was asked."""
        self._requests: dict[int, asyncio.Task[None]] = {}
        """The request to each broker that has not answered yet."""
        self._looked_at = self._loop.time()
        self._ask_at = 0.0

    def note(self, ends: Mapping[TopicPartition, int], asked_at: float) -> None:
        """Note the ends that a broker has named for this consumer's isolation level."""
        self._asked.update((partition, (end, asked_at)) for partition, end in ends.items())

    def look(self, partitions: Collection[TopicPartition]) -> Ends:
        """Return the ends of these partitions as far as they are known, and forget all others."""
        now = self._loop.time()
        self._note_fetches(partitions, now)
        self._asked = {each: self._asked[each] for each in partitions if each in self._asked}
        logs: dict[TopicPartition, End] = {}
        readable = dict[TopicPartition, End]() if self._reads_committed else logs
        for partition, (_, at, high_watermark, last_stable) in self._fetched.items():
            logs[partition] = End(high_watermark, now - at)
            if self._reads_committed and last_stable is not None:
                readable[partition] = End(last_stable, now - at)
        for partition, (end, at) in self._asked.items():
            known = readable.get(partition)
            if known is None or now - at < known.age_s:
                readable[partition] = End(end, now - at)
        return Ends(logs, readable)

    def _note_fetches(self, partitions: Collection[TopicPartition], now: float) -> None:
        """Note what the last fetch of each of these partitions has brought, and when.

        aiokafka notes the time by the machine's clock, which may be set, and a loop that stood
        still reads old answers late. In doubt a fetch counts as no later than the last look.
        """
        since_look_s, wall_ms = now - self._looked_at, time.time() * 1000
        self._looked_at = now
        before, fetched = self._fetched, dict[TopicPartition, Fetched]()
        for each in internals.last_fetches(self._consumer, partitions):
            partition, at_ms, high_watermark, last_stable = each
            known = before.get(partition)
            if known is None or known.at_ms != at_ms:
                age_s = (wall_ms - at_ms) / 1000
                if not 0 <= age_s <= since_look_s <= TIMELY_LOOK_S:
                    age_s = since_look_s
                known = Fetched(at_ms, now - age_s, high_watermark, last_stable)
            fetched[partition] = known
        self._fetched = fetched

    def ask(
        self, partitions: Collection[TopicPartition], known: Mapping[TopicPartition, End]
    ) -> None:
        """Ask for the ends of the partitions that are not `known`, or not by a recent answer.

        The answers are there at a later `look`. This never waits.
        """
        if self._loop.time() < self._ask_at:
            return
        by_leader = defaultdict[int | None, list[TopicPartition]](list)
        for partition in partitions:
            if (end := known.get(partition)) is None or end.age_s >= RECENT_S:
                by_leader[internals.leader(self._consumer, partition)].append(partition)
        if not by_leader:
            return
        self._ask_at = self._loop.time() + RECENT_S
        if by_leader.pop(None, None):
            internals.refresh_metadata(self._consumer)
        for leader, led in by_leader.items():
            if leader is not None and leader not in self._requests:
                self._requests[leader] = self._loop.create_task(self._request(leader, led))

    async def _request(self, leader: int, partitions: Collection[TopicPartition]) -> None:
        """Ask one broker. aiokafka bounds that by its `request_timeout_ms`.

        A shorter timeout would leave connections open that have died and that nobody else uses.
        """
        asked_at = self._loop.time()
        try:
            ends = await internals.end_offsets(self._consumer, leader, partitions)
        except Exception:  # whatever aiokafka raises: the ends that are known just become older
            return
        finally:
            del self._requests[leader]
        self.note(ends, asked_at)
        if len(ends) < len(partitions):  # some have moved to other brokers, or were deleted
            internals.refresh_metadata(self._consumer)

    async def close(self) -> None:
        """Cancel the requests that are not answered yet."""
        requests = set(self._requests.values())
        for request in requests:
            request.cancel()
        if requests:
            await asyncio.wait(requests, timeout=CANCEL_TIMEOUT_S)


class HealthCheck:
    """Makes the `Health` that a poll returns."""

    def __init__(
        self,
        consumer: Client,
        topics: Topics,
        ends: PartitionEnds,
        connecting: Connecting,
        *,
        refresh_interval_s: float,
        asks_for_ends: bool,
    ) -> None:
        self._consumer = consumer
        self._topics = topics
        self._ends = ends
        self._connecting = connecting
        self._refresh_interval_s = refresh_interval_s
        self._asks_for_ends = asks_for_ends
        self._membership = internals.membership_of(consumer)
        self._loop = asyncio.get_running_loop()
        self._due_at = self._refreshed_at = 0.0

    def is_due(self) -> bool:
        return self._loop.time() >= self._due_at

    def check(
        self,
        partitions: Collection[TopicPartition],
        held: Mapping[TopicPartition, str],
        obstacle: SdmlKafkaError | None,
    ) -> Health:
        """Return the health of a consumer that reads `partitions`, some of which are `held`."""
        now = self._loop.time()
        due_in_s = max(REPORT_INTERVAL_S, PARTITION_INTERVAL_S * len(partitions))
        self._due_at = now + min(due_in_s, TIMELY_LOOK_S / 2)  # a poll may take the other half
        missing = self._topics.missing()
        is_connected = internals.is_connected(self._consumer)
        interval_s = MISSING_TOPIC_INTERVAL_S if missing else self._refresh_interval_s
        if now - self._refreshed_at >= interval_s and (missing or is_connected):
            self._refreshed_at = now
            internals.refresh_metadata(self._consumer)
        ends = self._ends.look(partitions)
        if self._asks_for_ends:
            self._ends.ask(partitions, ends.readable)
        return Health(
            connected=is_connected,
            high_watermarks={each: end.offset for each, end in ends.logs.items()},
            missing_topics=missing,
            mark_ages_s={each: end.age_s for each, end in ends.logs.items()},
            held=held,
            obstacle=obstacle,
            ends=ends.readable,
            unreachable=self._connecting.unreachable(),
            nearest_topics=self._topics.nearest,
            membership=self._membership,
        )
