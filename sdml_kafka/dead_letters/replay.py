"""Sends dead letters anew, each once: a group of its own remembers which ones were sent.

How this works. Some of a partition's dead letters at a time are sent in a transaction that also
commits their offsets for the group. A kill leaves an open transaction, which the next run has
aborted before it reads where to go on. So readers of committed records get each once. No run is a
member of the group: one that was killed would keep partitions until its session has ended.

Where the broker allows no transactions, each is sent and then committed, by a member of the group,
since runs at the same time have to share the partitions. Then a kill may have what was on its way
sent again.

A dead letter that was sent by itself is in the metadata of the group's commit (`sent_letters.py`),
and is not sent with the others.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import anyio
from attrs import frozen

from sdml_kafka.dead_letters.anew import NoTarget, record_for, target_of
from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.dead_letters.group_watch import GroupWatch
from sdml_kafka.dead_letters.letter import Letter, moment, read_letter
from sdml_kafka.dead_letters.sent_letters import SentLetters
from sdml_kafka.dead_letters.sources import (
    START_TIMEOUT_S,
    Commits,
    Source,
    committed,
    member,
    open_transactions,
    reader,
)
from sdml_kafka.errors import ProducerFailed
from sdml_kafka.listener.delivery import Delivery
from sdml_kafka.listener.end_watch import EndWatch, check_topics
from sdml_kafka.listener.listener import KafkaListener
from sdml_kafka.listener.processing.policies import Batch, Send, Stop
from sdml_kafka.listener.status import ListenerStatus
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.transactions import NoTransactions, RecordsFailed, Transactions

AT_ONCE = 100
"""The number of records of a transaction, and without transactions of those on their way."""
MAX_REPORTED = 20
"""The number of dead letters without a target that are reported one by one."""
DEFAULT_RETENTION_S = 7 * 24 * 3600
TRANSACTIONS_TIMEOUT_S = 15.0
"""Seconds that a broker may take to find the coordinator of transactions, which it may not have."""

Prepared = tuple[Delivery[Letter], Send | None]
"""A dead letter and what to send for it, None for nothing."""


@frozen
class Sending:
    """The way that dead letters are sent: to which topic, partition and time."""

    to: str | None = None
    """The topic to send to; None for where each one came from."""
    same_partition: bool = False
    new_time: bool = False
    """True if records get the time of sending, and not the time that they had."""


class Replay:
    """One replay of the dead letters that are there now and were not sent before."""

    def __init__(
        self,
        source: Source,
        filters: Filters,
        sending: Sending,
        report: Callable[[str], None],
        *,
        only_tries: bool = False,
    ) -> None:
        """Begin.

        Args:
            source: What to read.
            filters: Which of the dead letters are meant.
            sending: Where they go.
            report: Called with lines for a person: what is special, not each record.
            only_tries: Whether nothing will be sent, and lines are not about sending.
        """
        self.left_out: int = 0
        """The number of dead letters whose headers name no topic to send to."""
        self.failed: str = ""
        """The place of the dead letter that was not taken; empty if there is none."""
        self.targets: Counter[str] = Counter[str]()
        """The number of records that were sent to each topic, or would be."""
        self.group: str = filters.group_for(source.topic, sending.to)
        self.has_begun: bool = False
        """True once something may be on its way, so that `end` has to be called for an end."""
        self.is_partial: bool = False
        """True if another run keeps partitions, and sends what is in them."""
        self._source = source
        self._filters = filters
        self._sending = sending
        self._report = report
        self._only_tries = only_tries
        self._announced: set[str] = set()
        self._transactions: Transactions | None = None
        self.sent: SentLetters = SentLetters()
        """The letters that were sent, in former runs as well."""
        self._ended = anyio.Event()
        self._failure: Exception | None = None
        """The error that a transaction has ended with, and so the run."""
        self._has_warned = False

    @property
    def has_sent(self) -> bool:
        """True if records were sent."""
        return any(self.targets.values())

    def end(self) -> None:
        """Let `run` return once what is on its way is done."""
        self._ended.set()

    async def run(self, on_begin: Callable[[Callable[[], ListenerStatus]], None]) -> None:
        """Send the dead letters, and call `on_begin` with a status when the first may go out.

        Raises:
            SdmlKafkaError: A dead letter cannot be read, or sent; `failed` says which one.
        """
        async with AsyncExitStack() as stack:
            self._transactions = await self._open_transactions(stack)
            commits = await committed(self._source, self.group)
            self.sent.remember(commits)
            watch: EndWatch | GroupWatch
            if self._transactions is None:
                watch, listener = GroupWatch(len(commits), START_TIMEOUT_S), self._member()
            else:
                watch, listener = EndWatch(), self._reader(commits)
            await stack.enter_async_context(listener)
            self.has_begun = True
            check_topics(listener)
            on_begin(listener.status)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch.run, listener.status, self._ended.set)
                await self._ended.wait()
                tasks.cancel_scope.cancel()
            self.is_partial = isinstance(watch, GroupWatch) and watch.is_partial
        if self._failure is not None:
            raise self._failure

    async def _open_transactions(self, stack: AsyncExitStack) -> Transactions | None:
        """Return what makes transactions, None if the broker does not allow that."""
        opening = open_transactions(self._source, self.group, TRANSACTIONS_TIMEOUT_S)
        try:
            return await stack.enter_async_context(opening)
        except NoTransactions as why:
            self._report(
                f"warning: without transactions, since {why}: after a kill, up to {AT_ONCE} "
                "records may be sent again"
            )
            return None

    def _reader(self, commits: Commits) -> KafkaListener:
        listener = reader(self._source, commits, Letter, self.read)
        batch = Batch(size=AT_ONCE, interval_s=0.05)
        listener.processor(Letter, batch=batch, concurrency=1)(self._send_together)
        return listener

    def _member(self) -> KafkaListener:
        listener = member(self._source, self.group, Letter, self.read)
        sends = listener.processor(
            Letter, concurrency=AT_ONCE, order="key", on_failure=self._give_up, name="replay"
        )
        sends(self._send_one)
        return listener

    def read(self, record: Record) -> Letter:
        """Return a record's dead letter if it is meant and was not sent; else raise SKIP."""
        letter = read_letter(record)
        if not self._filters.admit(letter) or self._was_sent(record):
            raise SKIP
        return letter

    def _was_sent(self, record: Record) -> bool:
        return self.sent.has(TopicPartition(record.topic, record.partition), record.offset)

    # -- in transactions -----------------------------------------------------------------

    async def _send_together(self, deliveries: list[Delivery[Letter]]) -> None:
        """Send records of a partition in a transaction, unless a former consumer brought them.

        A failure ends the run. It is no failure of the listener, which would log it as its own, and
        nothing is committed for that: whoever replays says what has failed.
        """
        new = [each for each in deliveries if not self._was_sent(each.record)]
        if new and self._failure is None:
            try:
                await self._commit([(each, self._prepare(each.value)) for each in new])
            except Exception as failure:
                self._failure = failure
                self._ended.set()

    async def _commit(self, prepared: Sequence[Prepared]) -> None:
        """Send and commit all in one transaction; those before one that is not taken by themselves.

        The broker refuses whole batches, and one may be too large because of all that is in it.
        """
        assert self._transactions is not None
        last = prepared[-1][0].record
        place = TopicPartition(last.topic, last.partition)
        commit = self.sent.up_to(place, last.offset + 1)
        messages = [message_of(send) for _, send in prepared if send is not None]
        try:
            await self._transactions.send(messages, {place: commit}, self.group)
        except RecordsFailed as failure:
            half = len(prepared) // 2
            if not half:
                self._note_failed(last)
                raise failure.error from None
            await self._check_alone()
            await self._commit(prepared[:half])
            await self._commit(prepared[half:])
        else:
            self.sent.note(place, commit)
            self.targets.update(message.topic for message in messages)

    async def _check_alone(self) -> None:
        """Raise ProducerFailed if another run has taken the place of this one, and committed.

        A batch may be refused for a reason of its own though another run has the transactional id
        by then, which the next producer takes back.
        """
        if not self.sent.agrees(await committed(self._source, self.group)):
            raise ProducerFailed("another one with the same transactional id has begun")

    # -- without transactions ------------------------------------------------------------

    async def _send_one(self, letter: Letter, delivery: Delivery[Letter]) -> Send | None:
        send = self._prepare(letter)
        if send is not None:
            self.targets[send.topic] += 1
        return send

    def _give_up(self, delivery: Delivery[Letter], error: Exception) -> Stop:
        self._note_failed(delivery.record)
        self.targets[target_of(delivery.value, self._sending.to)] -= 1
        return Stop()

    # -- what is sent --------------------------------------------------------------------

    def _prepare(self, letter: Letter) -> Send | None:
        """Return what to send for a dead letter, None if its headers name no topic."""
        topic = self.target(letter)
        if topic is None:
            return None
        sending = self._sending
        send = record_for(
            letter, topic, same_partition=sending.same_partition, new_time=sending.new_time
        )
        self._warn_if_old(send)
        return send

    def _warn_if_old(self, record: Send) -> None:
        """Report the first record that a topic with Kafka's default retention would delete."""
        if record.timestamp_ms is None or self._has_warned:
            return
        if record.timestamp_ms < (time.time() - DEFAULT_RETENTION_S) * 1000:
            self._has_warned = True
            self._report(
                f"warning: records of {moment(record.timestamp_ms)} are sent with the time that "
                "they had, and a topic deletes what is older than its retention.ms, by default 7 "
                "days; see --new-time"
            )

    def target(self, letter: Letter) -> str | None:
        """Return where the dead letter goes, and report each topic before its first record."""
        record = letter.record
        place = f"partition {record.partition} offset {record.offset}"
        try:
            topic = target_of(letter, self._sending.to)
        except NoTarget as why:
            self.left_out += 1
            if self.left_out <= MAX_REPORTED:
                self._report(f"{place} is left out: {why}; see --to")
            return None
        if topic not in self._announced and not self._only_tries:
            self._announced.add(topic)
            self._report(f"sending to {topic}, first {place}")
        return topic

    def _note_failed(self, record: Record) -> None:
        self.failed = self.failed or f"partition {record.partition} offset {record.offset}: "


def message_of(send: Send) -> Message:
    record = send.topic, send.value, send.key, send.headers, send.partition
    return Message(*record, timestamp_ms=send.timestamp_ms)
