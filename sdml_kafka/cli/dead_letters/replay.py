"""Sends dead letters anew, each once: a group of its own remembers which ones were sent.

How this works. Some of a partition's dead letters at a time are sent in a transaction that also
commits their offsets for the group. A kill leaves an open transaction, which the next run has
aborted before it reads where to go on. So readers of committed records get each once. No run is a
member of the group: one that was killed would keep partitions until its session has ended.

Where the broker allows no transactions, each is sent and then committed, by a member of the group,
since runs at the same time have to share the partitions. Then a kill may have what was on its way
sent again.
"""

import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack

import anyio
import anyio.abc

from sdml_kafka import (
    SKIP,
    Batch,
    Delivery,
    KafkaListener,
    Record,
    Send,
    Stop,
    TopicPartition,
)
from sdml_kafka.cli.dead_letters.anew import NoTarget, record_for, target_of
from sdml_kafka.cli.dead_letters.arguments import DeadLettersOptions
from sdml_kafka.cli.dead_letters.filters import Filters
from sdml_kafka.cli.dead_letters.group_watch import GroupWatch
from sdml_kafka.cli.dead_letters.letter import Letter, as_json, moment, read_letter
from sdml_kafka.cli.dead_letters.sources import (
    CLIENT_ID,
    START_TIMEOUT_S,
    Offsets,
    committed_offsets,
    member,
    reader,
)
from sdml_kafka.cli.listen.command import check_topics
from sdml_kafka.cli.listen.delivery_writer import DeliveryWriter
from sdml_kafka.cli.listen.end_watch import EndWatch
from sdml_kafka.cli.output import Output
from sdml_kafka.cli.plurals import counted
from sdml_kafka.cli.progress import ProgressReport
from sdml_kafka.cli.terminal import CannotRun, say, set_up_logging
from sdml_kafka.transport.connect import transactions
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.transactions import NoTransactions, RecordsFailed, Transactions

AT_ONCE = 100
"""The number of records of a transaction, and without transactions of those on their way."""
MAX_SHOWN = 20
"""The number of dead letters without a target, and of topics, that are reported one by one."""
DEFAULT_RETENTION_S = 7 * 24 * 3600
TRANSACTIONS_TIMEOUT_S = 15.0
"""Seconds that a broker may take to find the coordinator of transactions, which it may not have."""

Prepared = tuple[Delivery[Letter], Send | None]
"""A dead letter and what to send for it, None for nothing."""


class Replay:
    """One replay, or what it would send."""

    def __init__(self, options: DeadLettersOptions, filters: Filters, output: Output) -> None:
        self.left_out: int = 0
        """The number of dead letters whose headers name no topic to send to."""
        self.failed: str = ""
        """The place of the dead letter that was not taken; empty if there is none."""
        self._options = options
        self._filters = filters
        self._output = output
        self._group = filters.group_for(options.topic, options.to)
        self._targets = Counter[str]()
        """The number of records that were sent to each topic, or would be."""
        self._announced: set[str] = set()
        self._transactions: Transactions | None = None
        self._sent_to: dict[TopicPartition, int] = {}
        """The offsets behind the last dead letters that were committed."""
        self._shows_progress = options.progress or sys.stderr.isatty()
        self._ended = anyio.Event()
        self._has_begun = False
        self._has_warned = False
        self.signal: signal.Signals | None = None

    def leave(self, number: signal.Signals, scope: anyio.CancelScope) -> None:
        """End because of a signal: finish what is on its way, if there may be something."""
        self.signal = self.signal or number
        if self._has_begun:
            self._ended.set()
        else:
            scope.cancel("a signal")

    async def run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Send the dead letters that are there now and were not sent before."""
        say(f"the group {self._group} remembers what was sent")
        if self._options.dry_run:
            await self._list(tasks)
        else:
            await self._send(tasks)

    @property
    def has_sent(self) -> bool:
        """Whether records were sent."""
        return any(self._targets.values())

    def summary(self) -> str:
        """Return what was sent, and where."""
        what = "would be sent" if self._options.dry_run else "sent"
        count = sum(self._targets.values())
        targets = self._targets.most_common(MAX_SHOWN)
        where = ", ".join(f"{topic}: {each:,}" for topic, each in targets)
        text = f"{counted(count, 'record')} {what}" + (f" ({where})" if count else "")
        if self.left_out:
            text += f", {self.left_out:,} left out, whose headers name no topic to send to"
        return text

    # -- sending -------------------------------------------------------------------------

    async def _send(self, tasks: anyio.abc.TaskGroup) -> None:
        async with AsyncExitStack() as stack:
            self._transactions = await self._open_transactions(stack)
            offsets = await committed_offsets(self._options, self._group)
            watch: EndWatch | GroupWatch
            if self._transactions is None:
                watch, listener = GroupWatch(len(offsets), START_TIMEOUT_S), self._member()
            else:
                watch, listener = EndWatch(), self._reader(offsets)
            await stack.enter_async_context(listener)
            self._has_begun = True
            check_topics(listener)
            set_up_logging()
            progress = ProgressReport(listener.status, lambda: sum(self._targets.values()))
            tasks.start_soon(progress.run, self._shows_progress)
            tasks.start_soon(watch.run, listener.status, self._ended.set)
            await self._ended.wait()
            if isinstance(watch, GroupWatch) and watch.is_partial:
                raise CannotRun("another run has the other partitions: see what it sends")

    async def _open_transactions(self, stack: AsyncExitStack) -> Transactions | None:
        """Return what makes transactions, None if the broker does not allow that."""
        options = self._options
        client = options.config.producer_options(CLIENT_ID)
        opening = transactions(options.bootstrap, client, self._group, TRANSACTIONS_TIMEOUT_S)
        try:
            return await stack.enter_async_context(opening)
        except NoTransactions as why:
            say(
                f"warning: without transactions, since {why}: after a kill, up to {AT_ONCE} "
                "records may be sent again"
            )
            return None

    def _reader(self, offsets: Offsets) -> KafkaListener:
        listener = reader(self._options, offsets, Letter, self._read)
        batch = Batch(size=AT_ONCE, interval_s=0.05)
        listener.processor(Letter, batch=batch, concurrency=1)(self._send_together)
        return listener

    def _member(self) -> KafkaListener:
        listener = member(self._options, self._group, Letter, self._read)
        sends = listener.processor(
            Letter, concurrency=AT_ONCE, order="key", on_failure=self._give_up, name="replay"
        )
        sends(self._send_one)
        return listener

    def _read(self, record: Record) -> Letter:
        letter = read_letter(record)
        if not self._filters.admit(letter):
            raise SKIP
        return letter

    async def _send_together(self, deliveries: list[Delivery[Letter]]) -> None:
        """Send records of a partition in a transaction, unless a former consumer brought them."""
        new = [
            each for each in deliveries if each.record.offset >= self._sent_to.get(_place(each), 0)
        ]
        if new:
            await self._commit([(each, self._prepare(each.value)) for each in new])

    async def _commit(self, prepared: Sequence[Prepared]) -> None:
        """Send and commit all in one transaction; those before one that is not taken by themselves.

        The broker refuses whole batches, and one may be too large because of all that is in it.
        """
        assert self._transactions is not None
        last = prepared[-1][0].record
        offsets = {_place(prepared[-1][0]): last.offset + 1}
        messages = [_message(send) for _, send in prepared if send is not None]
        try:
            await self._transactions.send(messages, offsets, self._group)
        except RecordsFailed as failure:
            half = len(prepared) // 2
            if not half:
                self._note_failed(last)
                raise failure.error from None
            await self._commit(prepared[:half])
            await self._commit(prepared[half:])
        else:
            self._sent_to |= offsets
            self._targets.update(message.topic for message in messages)

    async def _send_one(self, letter: Letter, delivery: Delivery[Letter]) -> Send | None:
        send = self._prepare(letter)
        if send is not None:
            self._targets[send.topic] += 1
        return send

    def _prepare(self, letter: Letter) -> Send | None:
        """Return what to send for a dead letter, None if its headers name no topic."""
        topic = self._target(letter)
        if topic is None:
            return None
        options = self._options
        send = record_for(
            letter, topic, same_partition=options.same_partition, new_time=options.new_time
        )
        self._warn_if_old(send)
        return send

    def _warn_if_old(self, record: Send) -> None:
        """Report the first record that a topic with Kafka's default retention would delete."""
        if record.timestamp_ms is None or self._has_warned:
            return
        if record.timestamp_ms < (time.time() - DEFAULT_RETENTION_S) * 1000:
            self._has_warned = True
            say(
                f"warning: records of {moment(record.timestamp_ms)} are sent with the time that "
                "they had, and a topic deletes what is older than its retention.ms, by default 7 "
                "days; see --new-time"
            )

    def _target(self, letter: Letter) -> str | None:
        """Return where the dead letter goes, and report each topic before its first record."""
        record = letter.record
        place = f"partition {record.partition} offset {record.offset}"
        try:
            topic = target_of(letter, self._options.to)
        except NoTarget as why:
            self.left_out += 1
            if self.left_out <= MAX_SHOWN:
                say(f"{place} is left out: {why}; see --to")
            return None
        if topic not in self._announced and not self._options.dry_run:
            self._announced.add(topic)
            say(f"sending to {topic}, first {place}")
        return topic

    def _give_up(self, delivery: Delivery[Letter], error: Exception) -> Stop:
        self._note_failed(delivery.record)
        self._targets[target_of(delivery.value, self._options.to)] -= 1
        return Stop()

    def _note_failed(self, record: Record) -> None:
        self.failed = self.failed or f"partition {record.partition} offset {record.offset}: "

    # -- what would be sent --------------------------------------------------------------

    async def _list(self, tasks: anyio.abc.TaskGroup) -> None:
        """Write what would be sent, without committing."""
        writer = DeliveryWriter(self._output, None)
        offsets = await committed_offsets(self._options, self._group)
        async with reader(self._options, offsets, bytes, self._as_line) as listener:
            check_topics(listener)
            set_up_logging()
            stream = await listener.subscribe(bytes)
            tasks.start_soon(EndWatch().run, listener.status, writer.stop)
            await writer.run(stream.deliveries())

    def _as_line(self, record: Record) -> bytes:
        letter = self._read(record)
        topic = self._target(letter)
        if topic is None:
            raise SKIP
        self._targets[topic] += 1
        return as_json(letter, to=topic)


def _place(delivery: Delivery[Letter]) -> TopicPartition:
    return TopicPartition(delivery.record.topic, delivery.record.partition)


def _message(send: Send) -> Message:
    record = send.topic, send.value, send.key, send.headers, send.partition
    return Message(*record, timestamp_ms=send.timestamp_ms)
