"""A producer of the in-memory broker."""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from logging import getLogger

import anyio
import anyio.lowlevel
from attrs import define

from sdml_kafka.errors import (
    ConfigurationError,
    ProducerFailed,
    SendFailed,
)
from sdml_kafka.log_fields import fields
from sdml_kafka.testing.memory.faults import next_failure
from sdml_kafka.testing.memory.log import MemoryRecord, Misuse
from sdml_kafka.testing.memory.placement import Placement
from sdml_kafka.testing.memory.state import State, now, soon
from sdml_kafka.testing.memory.topics import Topics
from sdml_kafka.transport.interfaces.producer import Message, OnSent, ProducerSpent, always
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.record_checks import fault_of
from sdml_kafka.transport.topic_settings import is_setting

_log = getLogger("sdml_kafka.testing")

CLOSED = "the producer is closed"
IN_DOUBT = "The record may have arrived or not: the producer ended before it was acknowledged."


@define(eq=False)
class Sending:
    """A record that was given to `send`."""

    message: Message
    on_sent: OnSent
    is_wanted: Callable[[], bool]


@define(eq=False)
class Answer:
    """The broker's answer to a record, reported when it is due."""

    sending: Sending
    error: Exception | None
    record: MemoryRecord | None
    due_at: float


class MemoryProducer:
    """The port's `Producer`, connected to the in-memory broker."""

    def __init__(
        self,
        state: State,
        topics: Topics,
        placement: Placement,
        client_id: str,
    ) -> None:
        self._state = state
        self._topics = topics
        self._placement = placement
        self.client_id = client_id
        self._waiting: deque[Sending] = deque()
        self._held: deque[Sending] = deque()
        self._answers: deque[Answer] = deque()
        self._failure: ProducerFailed | None = None
        self._spoiled: set[TopicPartition] = set()
        """The partitions that take no more records of this producer."""
        self._is_open = False

    @property
    def connected(self) -> bool:
        return self._is_open and not self._state.faults.down

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._held) + len(self._answers)

    @property
    def unreachable(self) -> Mapping[str, str]:
        return {"0": "memory: it is down"} if self._state.faults.down else {}

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        self._placement.creates_topics = creates_topics
        if self._is_open:
            raise Misuse("started twice")
        if self._failure is not None:
            raise Misuse(f"start after the end: {self._failure}")
        await anyio.lowlevel.checkpoint()
        await self._state.start_producer(self.client_id, timeout_s)
        self._is_open = True

    # -- send ----------------------------------------------------------------------------

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        if not (callable(on_sent) and callable(is_wanted)):
            raise Misuse(f"send with {on_sent!r} and {is_wanted!r}, which cannot be called")
        sending = Sending(message, on_sent, is_wanted)
        if self._failure is not None:
            error = SendFailed(f"The record was not sent: {self._failure}.")
            soon(lambda: _report(sending, error))
        elif not self._is_open:
            raise Misuse("send before start")
        else:
            self._waiting.append(sending)
            self._state.signal.fire()

    async def run(self) -> None:
        """Do what a client does in the background, until cancelled."""
        while True:
            self._work()
            due_at = self._answers[0].due_at if self._answers else float("inf")
            await self._state.signal.wait(due_at)

    def _work(self) -> None:
        faults = self._state.faults
        while self._waiting and not faults.down and self._failure is None:
            sending = self._waiting.popleft()
            if not sending.is_wanted():
                continue
            if faults.holds_sends:
                self._held.append(sending)
            else:
                self._carry_out(sending)
        if not faults.holds_sends:
            while self._held and not faults.down:
                self._carry_out(self._held.popleft())
        if self._report_due_answers():
            self._state.signal.fire()
            self._work()  # an `on_sent` may have sent again

    def _carry_out(self, sending: Sending) -> None:
        failure = next_failure(self._state.faults.sends, self.client_id)
        error: Exception | None = None
        record: MemoryRecord | None = None
        if failure is None or failure.applied:
            appended = self._append(sending.message)
            if isinstance(appended, Exception):
                error = appended
            else:
                record = appended
        if failure is not None:
            error = error or failure.error
            if failure.spoils:
                self._spoil(sending.message)
        self._answers.append(
            Answer(sending, error, record, now() + self._state.faults.send_latency_s)
        )

    def _append(self, message: Message) -> MemoryRecord | Exception:
        place = self._placement.place(message)
        if isinstance(place, Exception):
            return place
        if place in self._spoiled:
            return SendFailed(f"the record for {place.topic!r} was not sent: out of sequence")
        return self._topics.append(place, message)

    def _spoil(self, message: Message) -> None:
        topic = message.topic
        number = self._placement.choose(message, len(self._state.partitions_of(topic)))
        self._spoiled.add(TopicPartition(topic, number))
        self._state.signal.fire()

    def _report_due_answers(self) -> bool:
        has_reported = False
        while self._answers and self._answers[0].due_at <= now():
            answer = self._answers.popleft()
            _report(answer.sending, answer.error, answer.record)
            has_reported = True
        return has_reported

    async def flush(self, timeout_s: float) -> bool:
        deadline = now() + timeout_s
        await anyio.lowlevel.checkpoint()
        while self._waiting or self._held or self._answers:
            if now() >= deadline:
                return False
            await self._state.signal.wait(deadline)
        return True

    # -- the end -------------------------------------------------------------------------

    async def watch(self) -> None:
        await anyio.lowlevel.checkpoint()
        while self._failure is None and not self._spoiled:
            await self._state.signal.wait(float("inf"))
        raise self._failure or ProducerSpent(f"{self._spoiled} take no more records")

    def fail(self, error: ProducerFailed) -> None:
        """End for good: records on their way are in doubt, those that waited were not sent."""
        if self._failure is None:
            self._end(error)
        in_flight = [*self._held, *(answer.sending for answer in self._answers)]
        self._held.clear()
        self._answers.clear()
        for sending in in_flight:
            _report(sending, SendFailed(IN_DOUBT, in_doubt=True))

    def _end(self, error: ProducerFailed) -> None:
        self._failure, self._is_open = error, False
        waiting, self._waiting = self._waiting, deque()
        for sending in waiting:
            if sending.is_wanted():
                _report(sending, SendFailed(f"The record was not sent: {error}."))
        self._state.signal.fire()

    async def close(self, timeout_s: float) -> None:
        """Close, with at most `timeout_s` for records that have gone out to be acknowledged."""
        if self._failure is None:
            self._work()
            self._end(ProducerFailed(CLOSED))
        await self.flush(timeout_s)
        self.close_at_once()

    def close_at_once(self) -> None:
        self.fail(ProducerFailed(CLOSED))

    # -- topics and groups ---------------------------------------------------------------

    async def create_topic(
        self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float
    ) -> bool:
        await self._require_broker(timeout_s, f"create the topic {topic!r}")
        if (fault := fault_of(Message(topic, b""))) is not None:
            raise fault
        if partitions < 1:
            raise ConfigurationError(f"a topic needs a partition, not {partitions}")
        if self._state.partitions_of(topic):
            return False
        if unknown := [name for name in config if not is_setting(name)]:
            raise ConfigurationError(f"Unknown topic config name: {unknown[0]}")
        compacted = config.get("cleanup.policy") == "compact"
        max_bytes = int(config["max.message.bytes"]) if "max.message.bytes" in config else None
        self._topics.create(topic, partitions, compacted=compacted, max_bytes=max_bytes)
        return True

    async def delete_topic(self, topic: str, timeout_s: float) -> None:
        await self._require_broker(timeout_s, f"delete the topic {topic!r}")
        if self._state.partitions_of(topic):
            self._topics.delete(topic)

    async def partition_counts(
        self, topics: Collection[str], timeout_s: float
    ) -> Mapping[str, int]:
        await self._require_broker(timeout_s, "look up topics")
        return {topic: len(self._state.partitions_of(topic)) for topic in topics}

    async def live_members(self, group_id: str, timeout_s: float) -> int:
        await self._require_broker(timeout_s, f"look up the group {group_id!r}")
        return len(self._state.group(group_id).members())

    async def _require_broker(self, timeout_s: float, what: str) -> None:
        if not self._is_open:
            raise Misuse(f"{what} with a producer that is not started")
        await anyio.lowlevel.checkpoint()
        if not await self._state.wait_for_broker(now() + timeout_s):
            raise SendFailed(f"Could not {what} within {timeout_s:g} s.", in_doubt=True)


def _report(sending: Sending, error: Exception | None, record: MemoryRecord | None = None) -> None:
    receipt = sending.message.receipt
    try:
        if receipt is not None and error is None and record is not None:
            receipt.acknowledged(record.partition, record.offset, None)
        sending.on_sent(error)
    except Exception as failure:
        extra = fields(topic=sending.message.topic, error=failure)
        _log.exception("a callback for the outcome of a record must not raise", extra=extra)


@asynccontextmanager
async def running(producer: MemoryProducer) -> AsyncGenerator[MemoryProducer]:
    """Run the producer's background work during the body of an `async with`."""
    raised: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(producer.run)
        try:
            yield producer
        except BaseException as error:
            raised = error  # the task group would wrap the error in a group
        producer.close_at_once()
        tasks.cancel_scope.cancel()
    if raised is not None:
        try:
            raise raised
        finally:
            del raised
