# pyright: basic
# aiokafka is not typed.
"""Hold the records for topics that the metadata does not show, until it does.

They wait here beside the others. aiokafka itself would hold each of them for `request_timeout_ms`,
and everything behind it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import RETRY_S, TOPIC_CREATION_S, Client
from sdml_kafka.transport.aiokafka.producer import internals
from sdml_kafka.transport.aiokafka.producer.metadata_refresh import MetadataRefresh
from sdml_kafka.transport.aiokafka.producer.partition_queues import Entry, PartitionQueues
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.record_checks import fault_of, no_such_partition

REFRESH_TIMEOUT_S = 1.0


class TopicLookups:
    """Looks for topics and partitions, and then sends or fails the records that wait for them."""

    def __init__(
        self,
        producer: Client,
        queues: PartitionQueues,
        refresh: MetadataRefresh,
        send: Callable[[Entry], None],
        report: Callable[[Sequence[Entry], Exception], None],
        count_settled: Callable[[int], None],
    ) -> None:
        """Prepare the lookups of one producer.

        Args:
            producer: aiokafka's producer.
            queues: The queues of its partitions, which know the metadata.
            refresh: What asks for the metadata.
            send: Sends a record whose topic was found.
            report: Reports the error of records whose topic was not.
            count_settled: Counts records that were dropped.
        """
        self._producer = producer
        self._queues = queues
        self._refresh = refresh
        self._send = send
        self._report = report
        self._count_settled = count_settled
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.topics: dict[str, deque[Entry]] = {}
        """The records that wait, by the topic that is being looked for."""
        self.partitions: dict[tuple[str, int], deque[Entry]] = {}
        """The records that wait for a partition of a topic that exists."""

    def add(self, entry: Entry) -> None:
        message = entry[0]
        if (fault := fault_of(message)) is not None:
            self._loop.call_soon(self._report, (entry,), fault)
        elif (
            message.topic in self.topics  # behind those that wait, although the topic is there now
            or message.partition is None
            or not self._queues.count(message.topic)
        ):
            self._wait_in(self.topics, message.topic, entry)
        else:  # the partition was added lately, or never was there
            self._wait_in(self.partitions, (message.topic, message.partition), entry)

    def _wait_in[K](self, groups: dict[K, deque[Entry]], sought: K, entry: Entry) -> None:
        if (waiting := groups.get(sought)) is not None:
            waiting.append(entry)
            return
        waiting = groups[sought] = deque((entry,))
        task = self._loop.create_task(self._look_up(waiting, lambda: groups.pop(sought)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, waiting: deque[Entry], end: Callable[[], object]) -> None:
        message = waiting[0][0]
        self._refresh.begin_search(message.topic)
        answered_at: float | None = None
        fault: SdmlKafkaError | None = None
        while waiting and fault is None and not self._queues.is_known(message):
            if await self._update_metadata() and answered_at is None:
                answered_at = self._loop.time()
            if not self._queues.is_known(message):
                fault = self._fault(message, answered_at)
            if fault is None:
                await asyncio.sleep(RETRY_S)
                self._drop_unwanted(waiting)
        end()
        self._refresh.end_search(message.topic)
        if fault is not None:
            self._report(tuple(waiting), fault)
        else:
            self._drop_unwanted(waiting)
            for entry in waiting:
                self._send(entry)
        if not self._queues.count(message.topic):
            internals.forget_topic(self._producer, message.topic)

    async def _update_metadata(self) -> bool:
        """Return whether a broker answered."""
        update = self._producer.client.force_metadata_update()
        await asyncio.wait({update}, timeout=REFRESH_TIMEOUT_S)
        return update.done() and not update.cancelled() and bool(update.result())

    def _fault(self, message: Message, answered_at: float | None) -> SdmlKafkaError | None:
        """Return the error of a record whose topic is missing, None while it may still appear."""
        topic, partition = message.topic, message.partition
        if internals.is_unauthorized(self._producer, topic):
            return error_mapping.not_authorized_to_send(topic)
        if answered_at is None or self._loop.time() - answered_at < TOPIC_CREATION_S:
            return None
        count = self._queues.count(topic)
        if count and partition is not None:
            return no_such_partition(topic, partition, count)
        return self._refresh.no_such_topic(topic)

    def _drop_unwanted(self, waiting: deque[Entry]) -> None:
        for _ in range(len(waiting)):
            entry = waiting.popleft()
            if entry[2]():
                waiting.append(entry)
            else:
                self._count_settled(1)

    def close(self) -> list[Entry]:
        """End all lookups and return the records that still wait."""
        for task in self._tasks:
            task.cancel()
        groups = [*self.topics.values(), *self.partitions.values()]
        self.topics.clear()
        self.partitions.clear()
        return [entry for waiting in groups for entry in waiting]
