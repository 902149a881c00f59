"""Decide what becomes of a record of a processor with transactions, once its handler has ended."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sdml_kafka.errors import ConfigurationError, SendFailed
from sdml_kafka.hooks.receipts import settle_all
from sdml_kafka.listener.processing.exactly_once.memory import Memory
from sdml_kafka.listener.processing.exactly_once.stage import Ended
from sdml_kafka.listener.processing.exactly_once.transactions import Transactions
from sdml_kafka.listener.processing.forwards import Forward
from sdml_kafka.listener.processing.job import Item, Job
from sdml_kafka.listener.processing.limits import FailureLimits
from sdml_kafka.listener.processing.outcomes.outcomes import Counts, Outcomes
from sdml_kafka.listener.processing.outcomes.results import Failure
from sdml_kafka.listener.processing.retrying.plan import RetryPlan
from sdml_kafka.transport.interfaces.producer import Message


class StagedOutcomes(Outcomes):
    """Decides what follows a handler's end, and has it done in a transaction.

    What a handler has returned for records that have failed is not sent.
    """

    counts: Counts
    limits: FailureLimits

    def __init__(
        self,
        *parts: Any,
        transactions: Transactions,
        memory: Memory,
        counts: Counts,
        limits: FailureLimits,
    ) -> None:
        """Begin a life of a processor; see `Outcomes`.

        Args:
            *parts: The parts of all outcomes.
            transactions: Send and commit.
            memory: Has what is known of records from the lives before.
            counts: Go on over all lives.
            limits: Go on over all lives.
        """
        super().__init__(*parts)
        self.counts, self.limits = counts, limits
        self._transactions = transactions
        self._memory = memory

    def settle(self, item: Item, good: Iterable[Job], failures: Sequence[Failure]) -> None:
        """Finish the records that have ended well, and decide about the others."""
        self._send_messages(item, list(good), failures, [])

    def _send_messages(
        self,
        item: Item,
        good: Sequence[Job],
        failures: Sequence[Failure],
        messages: list[Message],
    ) -> None:
        if good:
            if self.limits.counts_good:
                self.limits.note_good(self._clock(), len(good))
            ended = Ended(tuple(good), messages, partial(self._committed, good))
            try:
                self._transactions.add(ended)
            except ConfigurationError as error:
                self._stop(good, error)
        else:
            settle_all(messages, SendFailed("all records that it belongs to have failed"))
        if failures:
            self._fail(item, failures)

    def _committed(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.finish():
                self.counts.finished += 1
                self._memory.forget(job)
                self._on_left(job)

    def leave_out(self, job: Job) -> None:
        """Finish a record that has not ended well, and forget what was known of it."""
        super().leave_out(job)
        self._memory.forget(job)

    def _fail(self, item: Item, failures: Sequence[Failure]) -> None:
        """Decide about records that have failed, but for those of which that was decided before."""
        undecided: list[Failure] = []
        for job, error in failures:
            known = self._memory.of(job)
            if known is None or known.forward is None or job.is_gone:
                undecided.append((job, error))
            else:
                self._go_on(job, known.forward, known.why)
        if undecided:
            super()._fail(item, undecided)

    def _go_on(self, job: Job, forward: Forward, why: Exception | None) -> None:
        """Send the retry record or dead letter of a record that has come again."""
        if (handling := getattr(forward.job, "handling", None)) is not None:
            job.handling = handling  # the attempt that has failed, since there is no other one
        forward.job = job
        forward.on_sent = lambda: self._forwarded(job, forward.purpose, forward.note)
        forward.on_lost = lambda: self.give_back(job)
        if self._hooks.takes_part:
            forward.renew(self._hooks.take_part)
        if why is None:
            self._forwards.send(forward)
        else:
            self._transactions.hold(forward, why)

    def _try_later(self, job: Job, plan: RetryPlan, error: Exception) -> None:
        job.verdict = error  # for the case that its retry record is refused
        super()._try_later(job, plan, error)

    def _give_up(self, job: Job, error: Exception) -> None:
        job.verdict = error  # for the case that its dead letter is refused
        super()._give_up(job, error)
