"""A processor with transactions: lives of a processor, one after another, until the end."""

from collections.abc import Callable, Collection
from functools import partial
from logging import WARNING

import anyio
from attrs import evolve

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.errors import (
    AuthorizationFailed,
    BrokerUnreachable,
    ConfigurationError,
    ProducerFailed,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.hooks.receipts import Unsettled
from sdml_kafka.listener.processing.exactly_once.memory import Memory
from sdml_kafka.listener.processing.exactly_once.stage import Ended
from sdml_kafka.listener.processing.exactly_once.staged_outcomes import StagedOutcomes
from sdml_kafka.listener.processing.exactly_once.staged_work import StagedWork
from sdml_kafka.listener.processing.exactly_once.transacting import Transacting
from sdml_kafka.listener.processing.exactly_once.transactions import Ending, Transactions
from sdml_kafka.listener.processing.forwards import Forwards
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.limits import FailureLimits
from sdml_kafka.listener.processing.options import Options
from sdml_kafka.listener.processing.outcomes.outcomes import Counts, Outcomes
from sdml_kafka.listener.processing.policies import Transaction
from sdml_kafka.listener.processing.processor import Processor, Surroundings
from sdml_kafka.listener.processing.retrying.creation import RetryTopicMaker
from sdml_kafka.listener.processing.retrying.plan import RetryPlan
from sdml_kafka.listener.processing.retrying.queues import RetryQueues
from sdml_kafka.listener.processing.status import ProcessorStatus
from sdml_kafka.listener.processing.work import Work
from sdml_kafka.listener.typed_queue import TypedQueue
from sdml_kafka.log_fields import fields
from sdml_kafka.transport.connect_retry import connected
from sdml_kafka.transport.interfaces.transactions import TransactionalProducer

ABORT_TIMEOUT_S = 2.0
"""Seconds that an abort may take before a new producer is opened instead."""
FIRST_PAUSE_S = 0.1
"""Seconds between a life that was aborted and the next one; they double each time."""
LONGEST_PAUSE_S = 2.0
NOTHING = ProcessorStatus(0, 0, 0, None, None, None, 0, 0, 0, 0, ())
"""The status of a processor before its first life."""


class LongLived:
    """The parts that go on over all lives of a processor."""

    def __init__(self, policy: Transaction, on_failure: object) -> None:
        """Begin before the first life."""
        self.policy: Transaction = policy
        self.memory: Memory = Memory()
        self.counts: Counts = Counts()
        self.limits: FailureLimits = FailureLimits()
        self.limits.prepare(on_failure)


class Life(Processor):
    """Handles records until a transaction is aborted, or the processor ends."""

    _forwards: Transactions
    _work: StagedWork

    def __init__(
        self,
        options: Options,
        queue: TypedQueue | RetryQueues,
        around: Surroundings,
        transacting: Transacting,
        lasting: LongLived,
        plan: RetryPlan | None,
        producer: TransactionalProducer,
    ) -> None:
        """Join the parts; `producer` has no open transaction."""
        self._transacting, self._lasting, self._producer = transacting, lasting, producer
        self._scope = anyio.CancelScope()
        self._unsettled = None if around.hooks.sending is None else Unsettled()
        super().__init__(options, queue, around, plan)

    def _make_forwards(self, name: str) -> Forwards:
        lasting, around = self._lasting, self._around
        return Transactions(
            name,
            lasting.policy,
            self._producer,
            self._transacting,
            lasting.memory,
            lasting.counts,
            around.outbox,
            around.log,
            self._clock,
            self._wake,
            self._free_lanes,
            self._scope.cancel,
            self._unsettled,
        )

    def _outcomes_class(self) -> Callable[..., Outcomes]:
        lasting, transactions = self._lasting, self._forwards
        return partial(
            StagedOutcomes,
            transactions=transactions,
            memory=lasting.memory,
            counts=lasting.counts,
            limits=lasting.limits,
        )

    def _work_class(self) -> Callable[..., Work]:
        return partial(StagedWork, memory=self._lasting.memory, transactions=self._forwards)

    def _free_lanes(self, ended: Ended) -> None:
        self._work.free_lanes(ended)

    async def live(self, maker: RetryTopicMaker | None) -> Ending | None:
        """Handle records; return why this life has ended, None if there is nothing more to do."""
        with self._scope:
            await super().run(maker)
            return None
        return self._forwards.ending

    @property
    def holds(self) -> int:
        """The number of records in the transaction that is open."""
        return sum(len(ended.jobs) for ended in self._forwards.stage.members)

    def _withdraw(self, tenancies: Collection[Tenancy]) -> None:
        super()._withdraw(tenancies)
        self._lasting.memory.forget_all(tenancies)
        self._forwards.hurry()

    def cut_off(self, tenancies: Collection[Tenancy] | None = None) -> bool:
        """Give back what is in hand of these tenancies, or all.

        If the transaction has records of these, it has to be aborted as a whole.
        """
        if not self._forwards.stage.holds(tenancies):
            return super().cut_off(tenancies)
        self._forwards.cut_short(TransactionFailed("its records had no more time"))
        return True

    def _begin_nothing_more(self) -> None:
        for job in self._work.in_hand():
            if not job.is_gone:
                self._lasting.memory.note_attempt(job)
        super()._begin_nothing_more()

    def _give_all_back(self) -> None:
        self._forwards.stage.forget()
        if self._unsettled is not None:
            ending = self._forwards.ending
            gone = TransactionFailed("the processor has ended")
            self._unsettled.abort(gone if ending is None else ending.reason)
        super()._give_all_back()


class ExactlyOnceProcessor:
    """Handles the records of a queue until it is cancelled or the listener is left."""

    def __init__(
        self,
        options: Options,
        queue: TypedQueue | RetryQueues,
        around: Surroundings,
        transacting: Transacting,
        start_timeout_s: float,
        plan: RetryPlan | None = None,
    ) -> None:
        """Begin before the first life.

        The handlers run in copies of the context that `run` is called in.
        """
        assert options.transaction is not None
        every = min(options.transaction.every, transacting.max_every)
        policy = evolve(options.transaction, every=every)
        self._options, self._queue, self._around = options, queue, around
        self._transacting, self._start_timeout_s, self._plan = transacting, start_timeout_s, plan
        self._connect = transacting.check()
        self._lasting = LongLived(policy, options.on_failure)
        self._life: Life | None = None
        """The life that goes on, None between two lives."""
        self._last_status = NOTHING
        self._between_lives = anyio.CancelScope()
        self._failures = 0
        """The number of lives in a row that have ended for no refusal."""
        self._is_over = False

    async def run(self, maker: RetryTopicMaker | None = None) -> None:
        """Handle records until the listener is left, and create retry topics meanwhile."""
        with self._between_lives:
            while not self._is_over:
                try:
                    await self._use_one_producer(maker)
                except (BrokerUnreachable, ProducerFailed) as reason:
                    text = "%s: the producer of transactions does not connect, and tries again: %s"
                    name = self._options.name
                    extra = fields(handler=name, error=reason)
                    kind = f"unreachable {name}"
                    self._around.log.log(WARNING, kind, text, name, reason, extra=extra)
                    self._failures += 1
                    await self._pause()

    async def _use_one_producer(self, maker: RetryTopicMaker | None) -> None:
        deadline = anyio.current_time() + self._start_timeout_s
        async with connected(self._connect, self._start, deadline) as producer:
            while not self._is_over and await self._live(producer, maker):
                pass

    async def _start(self, producer: TransactionalProducer, left_s: float) -> None:
        await producer.start(left_s)

    async def _live(self, producer: TransactionalProducer, maker: RetryTopicMaker | None) -> bool:
        """Live once; return whether the producer may be used again."""
        parts = self._options, self._queue, self._around, self._transacting, self._lasting
        self._lasting.memory.forget_gone()
        self._life = life = Life(*parts, self._plan, producer)
        committed = self._lasting.counts.transactions
        try:
            ending = await life.live(maker)
        finally:
            self._life, self._last_status = None, life.status()
        if ending is None:
            self._is_over = True
            return False
        if self._lasting.counts.transactions > committed:
            self._failures = 0
        self._note(ending, life.holds)
        is_usable = not ending.is_spent and await self._abort(producer)
        if not ending.is_refusal:
            self._failures += 1
            await self._pause()
        return is_usable

    def _note(self, ending: Ending, count: int) -> None:
        reason, name = ending.reason, self._options.name
        if isinstance(reason, AuthorizationFailed | ConfigurationError) and not ending.is_refusal:
            raise reason
        if count:
            self._lasting.counts.aborted += 1
        text = "%s: a transaction was aborted, and its %d records are handled again: %s"
        kind = f"aborted {name} {type(reason).__name__}"
        extra = fields(handler=name, records=count, error=reason)
        self._around.log.log(WARNING, kind, text, name, count, reason, extra=extra)

    async def _abort(self, producer: TransactionalProducer) -> bool:
        """Abort the open transaction; return whether the producer may be used again."""
        try:
            await producer.abort(ABORT_TIMEOUT_S)
        except (TransactionInDoubt, ProducerFailed):
            return False
        return True

    async def _pause(self) -> None:
        """Wait before the next life, the longer the more of them have failed in a row."""
        pause_s = min(FIRST_PAUSE_S * 2 ** min(self._failures, 10), LONGEST_PAUSE_S)
        await anyio.sleep(pause_s)

    def cut_off(self, tenancies: Collection[Tenancy] | None = None) -> bool:
        """Give back what is in hand of these tenancies, or all; return whether there was any."""
        if tenancies is None:
            self._is_over = True
        if self._life is not None:
            return self._life.cut_off(tenancies)
        if self._is_over:
            self._between_lives.cancel()
        return False

    def unacknowledged(self) -> list[Job]:
        """Return the records that wait only for their transaction. Any thread may ask."""
        life = self._life
        return [] if life is None else life.unacknowledged()

    def status(self) -> ProcessorStatus:
        """Return what the processor is doing right now."""
        return self._last_status if self._life is None else self._life.status()
