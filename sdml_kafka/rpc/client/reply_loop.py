"""The reply loop: reads the reply topics from their end on, and commits nothing.

After a rebalance or a restart it goes on where it was.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf

import anyio
from attrs import evolve

from sdml_kafka.errors import ConsumerFailed, GroupShared, JoinTimeout, TopicMissing
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rpc.client.reply_dispatcher import Backlog
from sdml_kafka.rpc.client.reply_log import ReplyLog
from sdml_kafka.rpc.client.reply_topics import (
    TOPIC_TIMEOUT_S,
    Reading,
    ReplyTopics,
    missing_topics,
    quoted,
)
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.transport.connect_retry import connected
from sdml_kafka.transport.interfaces.consumer import POLL_TIMEOUT_S, Connect, Consumer
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment

REPLIES_AT_ONCE = 128
"""The number of replies that a poll takes. What their callers ask next is on its way while the rest
is handed on; with all at once, client and server would wait for each other in turn."""
SHARED_GRACE_S = 15.0
"""Seconds for which others may share the group: a newcomer that does so by mistake finds out as it
enters, and leaves."""


class ReplyLoop(Actor):
    """The only actor that touches the consumer."""

    def __init__(
        self,
        connect: Connect,
        topics: ReplyTopics,
        reading: Reading,
        backlog: Backlog,
        outbox: Outbox,
        log: ReplyLog,
        start_timeout_s: float,
        on_rebalance: Callable[[], object],
    ) -> None:
        self._connect = connect
        self._topics = topics
        self._reading = reading
        self._backlog = backlog
        self._outbox = outbox
        self._log = log
        self._start_timeout_s = start_timeout_s
        self._on_rebalance = on_rebalance
        self._group_id = ""
        """The group of the consumer that reads now, which errors name."""
        self._elsewhere = frozenset[TopicPartition]()
        """The partitions of the reply topics that other members of the group have."""
        self._shared_until = inf
        """When to give up; `inf` unless other members have partitions of the reply topics."""
        self._create_at = 0.0
        """When to create topics that were deleted, at the earliest."""

    async def run(self, life: Life) -> None:
        deadline = anyio.current_time() + self._start_timeout_s
        reason = None
        if not self._reading.was_opened:
            with life.cancel_on_stop():
                reason = await self._create_topics()
        with life.cancel_on_stop():
            try:
                async with connected(self._connect, self._start, deadline) as consumer:
                    await self._read(consumer, life, deadline, reason)
            finally:
                self._reading.health = evolve(self._reading.health, connected=False)
        if self._topics.deleted_on_leaving and self._outbox.producer is not None:
            await self._topics.delete(self._outbox.producer)

    async def _start(self, consumer: Consumer, left_s: float) -> None:
        await consumer.start(self._topics.names, left_s, self._reading.tail())

    async def _create_topics(self) -> Exception | None:
        producer = self._outbox.producer
        return None if producer is None else await self._topics.create(producer)

    async def _read(
        self, consumer: Consumer, life: Life, join_by: float, reason: Exception | None
    ) -> None:
        self._group_id = consumer.settings.group_id
        self._reading.begin_with_consumer()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._release_revocations, consumer)
            while True:
                polled = await consumer.poll(
                    self._reading.partitions, REPLIES_AT_ONCE, POLL_TIMEOUT_S
                )
                if polled.health is not None:
                    self._reading.health, is_sending = polled.health, self._outbox.connected
                    is_connected = polled.health.connected and is_sending
                    self._reading.outage.note(anyio.current_time(), is_connected=is_connected)
                    self._log.look(polled.health, is_sending=is_sending)
                if polled.jumps:
                    self._log.jumped(polled.jumps)
                if polled.assignment is not None:
                    self._take_assignment(polled.assignment, reason, at_entry=not life.ready)
                    life.started()
                if isinstance(self._reading.trouble, TopicMissing):
                    await self._create_anew()
                if self._shared_until != inf or not life.ready:
                    self._check_patience(life, join_by)
                if polled.records:
                    await self._hand_on(polled.records)
                del polled  # its records would stay in memory while the next poll waits

    async def _hand_on(self, records: Mapping[TopicPartition, Sequence[Record]]) -> None:
        # All at once: calls that are answered together also send together what they ask next.
        replies = tuple(records.values())
        await self._backlog.put(replies)
        for partition, batch in records.items():
            self._reading.positions[partition] = batch[-1].offset + 1

    def _check_patience(self, life: Life, join_by: float) -> None:
        now = anyio.current_time()
        if now >= self._shared_until:
            raise self._group_shared()
        if not life.ready and now >= join_by:
            raise self._reading.health.obstacle or JoinTimeout(
                f"The rebalance of the group {self._group_id!r} did not end within "
                f"{self._start_timeout_s:g} s. Does the group have other members? Try again, or "
                "allow more with start_timeout."
            )

    def _take_assignment(
        self, assignment: Assignment, reason: Exception | None, *, at_entry: bool
    ) -> None:
        reading, self._elsewhere = self._reading, assignment.elsewhere
        if not assignment.elsewhere:
            self._shared_until, reading.trouble = inf, None
            if missing := self._topics.names - {own.topic for own in reading.after(assignment)}:
                if not reading.was_opened:
                    raise missing_topics(missing, reason)
                reading.trouble = TopicMissing(f"The reply topic {quoted(missing)} was deleted")
                self._log.trouble(reading.trouble, "; the client creates it anew if it may")
                reading.begin_anew(missing)
            else:
                reading.was_opened = True
        elif at_entry:
            raise self._group_shared()
        elif self._shared_until == inf:
            reading.trouble = self._group_shared()
            self._log.trouble(reading.trouble)
            self._shared_until = anyio.current_time() + SHARED_GRACE_S
        reading.follow(assignment)
        self._log.reads(reading.partitions)
        self._on_rebalance()

    def _group_shared(self) -> GroupShared:
        topics = quoted({partition.topic for partition in self._elsewhere})
        return GroupShared(
            f"Other members of the client's group {self._group_id!r} have partitions of its reply "
            f"topics ({topics}), so replies go to them. Give each client a group_id of its own, or "
            "none at all."
        )

    async def _create_anew(self) -> None:
        if (now := anyio.current_time()) >= self._create_at:
            self._create_at = now + TOPIC_TIMEOUT_S
            await self._create_topics()

    async def _release_revocations(self, consumer: Consumer) -> None:
        """Let rebalances go on at once: nothing is committed, and calls go on waiting."""
        while True:
            try:
                revocation = await consumer.revocation()
            except ConsumerFailed:
                return  # the poll raises it as well
            self._reading.note_revoked(revocation)
            revocation.release()
