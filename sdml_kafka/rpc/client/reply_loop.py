"""The reply loop: reads the reply topics from their end on, and goes on where it was after a
rebalance or a restart. It commits nothing."""

from collections.abc import Callable, Collection, Mapping, Sequence
from logging import getLogger
from math import inf

import anyio
from attrs import define, evolve, field, frozen

from sdml_kafka.errors import (
    AuthorizationFailed,
    BrokerUnreachable,
    ConfigurationError,
    ConsumerFailed,
    GroupShared,
    JoinTimeout,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rpc.client.reply_dispatcher import Harvest
from sdml_kafka.runtime import Actor, Life, Mailbox
from sdml_kafka.transport.connect_retry import connected
from sdml_kafka.transport.interfaces import (
    Assignment,
    Connect,
    Consumer,
    Health,
    Record,
    Tail,
    TopicPartition,
)

_log = getLogger("sdml_kafka.rpc.client.client")

IDLE_POLL_S = 0.5
TOPIC_TIMEOUT_S = 5.0
DELETE_TIMEOUT_S = 1.0
SHARED_GRACE_S = 15.0
"""A newcomer that shares the group by mistake finds out as it enters, and leaves."""
SHARED = (
    "Other members of the client's group have partitions of its reply topics, so replies go to "
    "them. Give each client a group_id of its own, or none at all."
)


@frozen
class ReplyTopics:
    """Those that the client reads. Missing ones are created where the broker allows."""

    names: frozenset[str]
    partitions: int
    retention_s: float
    deleted_on_leaving: bool
    """A topic of the client's own, with a name that nobody else knows."""

    def config(self) -> Mapping[str, str]:
        return {"retention.ms": str(int(self.retention_s * 1000))}


@define(eq=False)
class Reading:
    """Where the client reads its replies; outlives the loop's restarts."""

    share: int | None
    """Fetch one partition of each topic only."""
    partitions: frozenset[TopicPartition] = field(default=frozenset(), init=False)
    """Those that the client reads right now."""
    positions: dict[TopicPartition, int] = field(factory=dict[TopicPartition, int], init=False)
    """Where it goes on, also in those that it is to get back."""
    health: Health = field(default=Health(False, {}), init=False)
    was_opened: bool = field(default=False, init=False)
    """Whether all of the topics were there once."""
    trouble: Exception | None = field(default=None, init=False)
    """Why replies may not come though the broker is there."""

    def own_partition(self, topic: str) -> int | None:
        """The one to ask servers to reply to; None: any will do."""
        if self.share is None:
            return None
        return next((own.partition for own in self.partitions if own.topic == topic), None)

    def tail(self) -> Tail:
        return Tail(dict(self.positions), self.share)


class ReplyLoop(Actor):
    def __init__(
        self,
        connect: Connect,
        topics: ReplyTopics,
        reading: Reading,
        harvests: Mailbox[Harvest],
        outbox: Outbox,
        start_timeout_s: float,
        on_rebalance: Callable[[], object],
    ) -> None:
        self._connect = connect
        self._topics = topics
        self._reading = reading
        self._harvests = harvests
        self._outbox = outbox
        self._start_timeout_s = start_timeout_s
        self._on_rebalance = on_rebalance
        self._shared_until = inf
        """When to give up, while others have some of our partitions."""
        self._create_at = 0.0
        """When to try again, while some of the topics are missing."""

    async def run(self, life: Life) -> None:
        deadline = anyio.current_time() + self._start_timeout_s
        reason = None
        if not self._reading.was_opened:
            with life.cancel_on_stop():
                reason = await self._create_topics()
        with life.cancel_on_stop():
            try:
                async with connected(self._connect, self._start, deadline) as consumer:
                    await self._live(consumer, life, deadline, reason)
            finally:
                self._reading.health = evolve(self._reading.health, connected=False)
        if self._topics.deleted_on_leaving:
            await self._delete_topics()

    async def _start(self, consumer: Consumer, left_s: float) -> None:
        await consumer.start(self._topics.names, left_s, self._reading.tail())

    async def _live(
        self, consumer: Consumer, life: Life, join_by: float, reason: Exception | None
    ) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_let_go_when_asked, consumer)
            while True:
                polled = await consumer.poll(
                    self._reading.partitions, consumer.settings.poll_records, IDLE_POLL_S
                )
                if polled.health is not None:
                    self._reading.health = polled.health
                if polled.assignment is not None:
                    self._opened(polled.assignment, reason, at_entry=not life.ready)
                    life.started()
                if isinstance(self._reading.trouble, TopicMissing):
                    await self._create_anew()
                if self._shared_until != inf or not life.ready:
                    self._check_patience(life, join_by)
                if polled.records:
                    await self._hand_on(polled.records)

    async def _hand_on(self, records: Mapping[TopicPartition, Sequence[Record]]) -> None:
        # All at once: calls that are answered together also send together what they ask next.
        harvest = tuple(records.values())
        try:
            self._harvests.send_nowait(harvest)
        except anyio.WouldBlock:
            await self._harvests.send(harvest)
        for partition, batch in records.items():
            self._reading.positions[partition] = batch[-1].offset + 1

    def _check_patience(self, life: Life, join_by: float) -> None:
        now = anyio.current_time()
        if now >= self._shared_until:
            raise GroupShared(SHARED)
        if not life.ready and now >= join_by:
            raise JoinTimeout(
                f"The group's rebalance did not end within {self._start_timeout_s:g} s. Does the "
                "client's group have other members? Try again, or allow more with start_timeout."
            )

    def _opened(self, assignment: Assignment, reason: Exception | None, *, at_entry: bool) -> None:
        if not assignment.elsewhere:
            self._shared_until, self._reading.trouble = inf, None
            if missing := self._topics.names - {own.topic for own in assignment.positions}:
                if not self._reading.was_opened:
                    raise _missing(missing, reason)
                self._deleted(missing)
            else:
                self._reading.was_opened = True
        elif at_entry:
            raise GroupShared(SHARED)
        elif self._shared_until == inf:
            _log.error("%s", SHARED)
            self._reading.trouble = GroupShared(SHARED)
            self._shared_until = anyio.current_time() + SHARED_GRACE_S
        self._reading.partitions = frozenset(assignment.positions)
        self._reading.positions.update(assignment.positions)
        self._on_rebalance()

    def _deleted(self, topics: Collection[str]) -> None:
        """By somebody else. Calls go on once they are there again."""
        reading, names = self._reading, ", ".join(sorted(map(repr, topics)))
        reading.trouble = TopicMissing(f"The reply topic {names} was deleted")
        _log.error("%s; the client creates it anew if it may", reading.trouble)
        gone = [place for place in reading.positions if place.topic in topics]
        reading.positions.update(dict.fromkeys(gone, 0))

    async def _create_anew(self) -> None:
        if (now := anyio.current_time()) >= self._create_at:
            self._create_at = now + TOPIC_TIMEOUT_S
            await self._create_topics()

    # -- topics --------------------------------------------------------------------------

    async def _create_topics(self) -> Exception | None:
        """Why it did not work; the topics may be there all the same."""
        topics, producer = self._topics, self._outbox.producer
        if producer is None:
            return None
        for topic in sorted(topics.names):
            try:
                created = await producer.create_topic(
                    topic, topics.partitions, topics.config(), TOPIC_TIMEOUT_S
                )
            except (AuthorizationFailed, ConfigurationError, SendFailed) as error:
                return error
            if created:
                _log.info("created the reply topic %r", topic)
        return None

    async def _delete_topics(self) -> None:
        producer = self._outbox.producer
        if producer is None:
            return
        with anyio.move_on_after(DELETE_TIMEOUT_S, shield=True):
            for topic in self._topics.names:
                try:
                    await producer.delete_topic(topic, DELETE_TIMEOUT_S)
                except (AuthorizationFailed, SendFailed, BrokerUnreachable) as error:
                    _log.warning("the reply topic %r was not deleted: %s", topic, error)


async def _let_go_when_asked(consumer: Consumer) -> None:
    while True:
        try:
            revocation = await consumer.revocation()
        except ConsumerFailed:
            return  # which the poll raises as well: told once
        revocation.release()  # nothing is committed, and waiting calls go on waiting


def _missing(topics: frozenset[str], reason: Exception | None) -> TopicMissing:
    names = ", ".join(sorted(map(repr, topics)))
    error = TopicMissing(
        f"There is no reply topic {names}, and it could not be created"
        f"{'' if reason is None else f' ({reason})'}: create it, or let the client do so."
    )
    error.__cause__ = reason
    return error
