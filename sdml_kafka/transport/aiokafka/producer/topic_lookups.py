# pyright: basic
# aiokafka is not typed.
"""Records for topics that the metadata does not show: wait beside the others until it does.

aiokafka itself would hold each of them for `request_timeout_ms`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.aiokafka import error_mapping as failures
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.producer import internals as private
from sdml_kafka.transport.aiokafka.producer.metadata_refresh import Refreshes
from sdml_kafka.transport.aiokafka.producer.partition_queues import Entry, Lanes
from sdml_kafka.transport.interfaces import Message
from sdml_kafka.transport.record_checks import fault_of, no_such_partition

TOPIC_CREATION_S = 1.0
"""A broker that creates topics by itself has done so by then."""
RETRY_S = 0.1
REFRESH_TIMEOUT_S = 1.0


class Lookups:
    def __init__(
        self,
        producer: Client,
        lanes: Lanes,
        refreshes: Refreshes,
        send: Callable[[Entry], None],
        tell: Callable[[Sequence[Entry], Exception], None],
        drop: Callable[[int], None],
    ) -> None:
        self._producer = producer
        self._lanes = lanes
        self._refreshes = refreshes
        self._send = send
        self._tell = tell
        self._drop = drop
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.topics: dict[str, deque[Entry]] = {}
        """What waits, by the topic that is being looked for."""
        self._partitions: dict[tuple[str, int], deque[Entry]] = {}

    def add(self, entry: Entry) -> None:
        message = entry[0]
        if (fault := fault_of(message)) is not None:
            self._loop.call_soon(self._tell, (entry,), fault)
        elif message.partition is None or not self._lanes.count(message.topic):
            self._wait_in(self.topics, message.topic, entry)
        else:  # a partition that was added lately, or one that never was
            self._wait_in(self._partitions, (message.topic, message.partition), entry)

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
        self._refreshes.seek(message.topic)
        answered_at: float | None = None
        fault: SdmlKafkaError | None = None
        while waiting and fault is None and not self._lanes.is_known(message):
            if await self._refresh() and answered_at is None:
                answered_at = self._loop.time()
            if not self._lanes.is_known(message):
                fault = self._fault(message, answered_at)
            if fault is None:
                await asyncio.sleep(RETRY_S)
                self._drop_unwanted(waiting)
        end()
        self._refreshes.found(message.topic)
        if fault is not None:
            self._tell(tuple(waiting), fault)
        else:
            self._drop_unwanted(waiting)
            for entry in waiting:
                self._send(entry)
        if not self._lanes.count(message.topic):
            private.forget_topic(self._producer, message.topic)

    async def _refresh(self) -> bool:
        """Whether a broker answered."""
        refresh = self._producer.client.force_metadata_update()
        await asyncio.wait({refresh}, timeout=REFRESH_TIMEOUT_S)
        return refresh.done() and not refresh.cancelled() and bool(refresh.result())

    def _fault(self, message: Message, answered_at: float | None) -> SdmlKafkaError | None:
        """None: nobody can say yet."""
        topic, partition = message.topic, message.partition
        if private.is_unauthorized(self._producer, topic):
            return failures.not_authorized_to_send(topic)
        if answered_at is None or self._loop.time() - answered_at < TOPIC_CREATION_S:
            return None
        count = self._lanes.count(topic)
        if count and partition is not None:
            return no_such_partition(topic, partition, count)
        return self._refreshes.no_such_topic(topic)

    def _drop_unwanted(self, waiting: deque[Entry]) -> None:
        for _ in range(len(waiting)):
            entry = waiting.popleft()
            if entry[2]():
                waiting.append(entry)
            else:
                self._drop(1)

    def close(self) -> list[Entry]:
        """What is waiting still."""
        for task in self._tasks:
            task.cancel()
        groups = [*self.topics.values(), *self._partitions.values()]
        self.topics.clear()
        self._partitions.clear()
        return [entry for waiting in groups for entry in waiting]
