"""The transactions of one processor, one after another: how they are committed.

How this works. A commit takes its turn among the commits of the listener, so that none of them says
less than the one before. `commits.py` commits what was sent together with the offsets. Then the
records finish, before anybody else commits.

If the outcome of a commit is in doubt, nothing of its partitions is committed or handled here any
more, and the group is joined anew: the next owner of a partition, this listener or another one, is
given its offset once no transaction is pending.

Whatever else goes wrong aborts the transaction, and ends this life of the processor: everything in
hand is given back, and handled again in the order of the offsets. The life after has a new object
of this class.

Rules for whoever edits this file:

- Nothing is awaited between the answer to a commit and the finishes.
"""

from collections.abc import Callable
from functools import partial
from math import inf

import anyio
from attrs import frozen

from sdml_kafka.errors import (
    AuthorizationFailed,
    CommitFailed,
    ConfigurationError,
    ProducerFenced,
    TransactionFailed,
)
from sdml_kafka.hooks.receipts import Unsettled
from sdml_kafka.listener.processing.exactly_once.commits import Commits, progress_with
from sdml_kafka.listener.processing.exactly_once.memory import Memory
from sdml_kafka.listener.processing.exactly_once.stage import Ended, Stage
from sdml_kafka.listener.processing.exactly_once.transacting import Transacting
from sdml_kafka.listener.processing.forwards import Forward, Forwards
from sdml_kafka.listener.processing.outcomes.outcomes import Counts
from sdml_kafka.listener.processing.policies import Transaction
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.interfaces.transactions import TransactionalProducer

GRACE_S = 1.0
"""Seconds that a commit under way gets when its processor is cancelled."""


@frozen
class Ending:
    """Why a life of a processor ends."""

    reason: Exception
    is_spent: bool = False
    """True if a new producer is needed."""
    is_refusal: bool = False
    """True if it ends for a message that was refused, which is remembered."""


class Transactions(Forwards):
    """Sends in transactions what follows from records, and commits them."""

    ending: Ending | None = None

    def __init__(
        self,
        name: str,
        policy: Transaction,
        producer: TransactionalProducer,
        transacting: Transacting,
        memory: Memory,
        counts: Counts,
        outbox: Outbox,
        log: RateLimitedLog,
        clock: Callable[[], float],
        on_progress: Callable[[], None],
        free_lanes: Callable[[Ended], None],
        on_ending: Callable[[], None],
        unsettled: Unsettled | None,
    ) -> None:
        """Begin with nothing to send.

        Args:
            name: The processor's name.
            policy: When a transaction is due.
            producer: Sends and commits.
            transacting: What else commits take.
            memory: Knows what was refused before.
            counts: Counts the transactions.
            outbox: Sends nothing here.
            log: The listener's log.
            clock: The clock of the event loop.
            on_progress: Called after records have gone on, so that others may begin.
            free_lanes: Lets the next records of the lanes of these begin.
            on_ending: Called when this life has to end.
            unsettled: Takes the messages if hooks take part in them.
        """
        super().__init__(outbox, log, clock, on_progress)
        self._producer, self._transacting = producer, transacting
        self._memory, self._counts, self._on_ending = memory, counts, on_ending
        self.stage: Stage = Stage(policy, transacting.shared, self._send_messages, free_lanes)
        committer, current = transacting.committer, transacting.current
        self._commits = Commits(name, producer, current, committer.hooks, log, clock)
        self._wakes_at, self._woken = inf, anyio.Event()
        self._unsettled = unsettled

    # -- what is sent --------------------------------------------------------------------

    def add(self, ended: Ended) -> None:
        """Take records whose handler has ended, with their messages.

        Raises:
            ConfigurationError: They can never be in a transaction.
        """
        now = self._clock()
        if self._unsettled is not None:
            self._unsettled.add(ended.messages)
        self.stage.add(ended, now)
        self._look_at(now)

    def send(self, forward: Forward) -> None:
        """Send a retry record or dead letter in a transaction, or hold it if nothing takes it."""
        self._memory.avoid_missing(forward)
        why = self._memory.reason_to_hold(forward.message.topic, self._clock())
        if why is not None:
            self.hold(forward, why)
            return
        forward.tries += 1
        self._memory.note_dead_letter(forward, None)
        on_committed = partial(self._forward_committed, forward)
        self.add(Ended((forward.job,), (forward.message,), on_committed, forward))

    def hold(self, forward: Forward, why: Exception) -> None:
        """Send a dead letter later that its topic does not take."""
        self._memory.note_dead_letter(forward, why)
        if forward.job.is_gone or self._is_closed:
            forward.lose(why)
        else:
            self._hold(forward, why)
            self._held.add(forward)  # it may be held since an earlier life

    def _forward_committed(self, forward: Forward) -> None:
        self._held.discard(forward)
        forward.on_sent()
        self._memory.forget(forward.job)

    @property
    def has_room(self) -> bool:
        """True if more records may begin."""
        return self.ending is None and self.stage.has_room

    def _send_messages(self, ended: Ended) -> None:
        for message in ended.messages:
            self._producer.send(message, partial(self._not_taken, ended))

    def _not_taken(self, ended: Ended, error: Exception) -> None:
        """End this life, since a message was not taken; remember it if it never will be."""
        is_refusal = self._memory.note_refused(ended, error, self._clock())
        self.end(Ending(error, is_refusal=is_refusal))

    def end(self, ending: Ending) -> None:
        """End this life, if it does not end already."""
        if self.ending is None:
            self.ending = ending
            self.stage.close()
            self._on_ending()

    # -- when ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit what is due, and send again what is held, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._limit_when_cancelled)
            tasks.start_soon(super().run)
            while True:
                await self._wait_due()
                await self._commit()

    async def _wait_due(self) -> None:
        while (at := self._look(now := self._clock())) > now or not self.stage.members:
            self._woken, self._wakes_at = anyio.Event(), at
            with anyio.move_on_after(at - now):
                await self._woken.wait()
        self._wakes_at = -inf

    def _look(self, now: float) -> float:
        had_room, at = self.stage.has_room, self.stage.look_at(now)
        if not had_room and self.stage.has_room:
            self._on_progress()
        return at

    def _look_at(self, now: float) -> None:
        """Have the next look no later than the transaction is due."""
        if self.stage.due_at < self._wakes_at or self._wakes_at == inf:
            self._woken.set()

    def hurry(self) -> None:
        """Commit now what belongs to partitions that are being revoked."""
        self.stage.hurry(now := self._clock())
        self._look_at(now)

    def close(self) -> None:
        """Give back what is held, and commit at once whatever comes."""
        super().close()
        self.stage.is_ending = True
        self.hurry()

    # -- commits -------------------------------------------------------------------------

    async def _commit(self) -> None:
        try:
            async with self._transacting.committer.turn():
                await self._commit_in_turn()
        except ProducerFenced as error:
            self.end(Ending(error, is_spent=True))
        except (TransactionFailed, CommitFailed, AuthorizationFailed, ConfigurationError) as error:
            self.end(Ending(error))
        if self.ending is not None:
            await anyio.sleep_forever()  # until this life is cancelled

    async def _commit_in_turn(self) -> None:
        members = self.stage.close()
        self._on_progress()  # there is room for the next transaction
        progress = progress_with(members)
        if (doubt := await self._commits.commit(progress)) is not None:
            self._transacting.on_doubt(progress.keys())
            self.end(Ending(doubt, is_spent=True))
            return
        if self._unsettled is not None:
            self._unsettled.committed(message for each in members for message in each.messages)
        for ended in members:
            ended.on_committed()
        for tenancy, committed in progress.items():
            if tenancy.open:
                tenancy.note_committed(committed)
        self._counts.transactions += 1
        self.stage.open_next(self._clock())
        self._on_progress()

    async def _limit_when_cancelled(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self._commits.limit(GRACE_S)

    def cut_short(self, reason: Exception) -> None:
        """End this life at once: whoever waits for the records in hand has waited long enough."""
        self._commits.limit(0.0)
        self.end(Ending(reason, is_spent=self._commits.is_under_way))
