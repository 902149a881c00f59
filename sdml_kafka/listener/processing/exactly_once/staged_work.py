"""The records of a processor with transactions: what their ends are, and when they leave."""

from collections.abc import Callable, Coroutine, Sequence
from operator import attrgetter
from typing import Any

from sdml_kafka.listener.processing.exactly_once.memory import Memory
from sdml_kafka.listener.processing.exactly_once.stage import Ended
from sdml_kafka.listener.processing.exactly_once.transactions import Transactions
from sdml_kafka.listener.processing.job import Item, Job, JobBatch
from sdml_kafka.listener.processing.outcomes.results import LEFT_OUT
from sdml_kafka.listener.processing.work import Work


class StagedWork(Work):
    """Runs the handler for records, none of which leaves before its transaction is committed."""

    now: float
    handle: Callable[[Any], Coroutine[Any, Any, object]]

    def __init__(self, *parts: Any, memory: Memory, transactions: Transactions) -> None:
        """Join what a processor consists of; see `Work`.

        Args:
            *parts: The parts of all processors.
            memory: Has what is known of records from the lives before.
            transactions: Say whether there is room for more.
        """
        super().__init__(*parts)
        self._memory = memory
        self._transactions = transactions
        self._staged: set[Job] = set()
        """The records whose lanes are free, and who have not left."""
        self._handle_anew, self.handle = self.handle, self._handle

    def take(self) -> Item | None:
        """Return what the handler is to be called for next, None if nothing may begin."""
        item = super().take() if self._transactions.has_room else None
        if item is not None:
            item.tenancy.must_fit = True
        return item

    def waiting(self, most: int) -> int:
        """Return how many records may begin, counted up to `most`."""
        return super().waiting(most) if self._transactions.has_room else 0

    def _handle(self, item: Item) -> Coroutine[Any, Any, object]:
        return self._handle_known(item) if self._memory else self._handle_anew(item)

    async def _handle_known(self, item: Item) -> object:
        """Call the handler, but for records of which something was refused."""
        refused: list[Job] = []
        for job in item.jobs:
            known = self._memory.of(job)
            if known is None or known.attempt < job.attempt:
                continue
            job.attempt = known.attempt
            if known.error is not None:
                job.verdict = known.error
                refused.append(job)
        if not refused:
            return await self._handle_anew(item)
        if not isinstance(item, JobBatch):
            return None
        item.jobs = [job for job in item.jobs if job not in refused]
        try:
            return await self._handle_anew(item) if item.jobs else None
        finally:
            item.jobs = sorted((*item.jobs, *refused), key=attrgetter("offset"))

    def ended(self, item: Item, result: object) -> None:
        """Pass on what a handler has returned."""
        item.running_scope = None
        self.now = now = self._clock()
        if item.jobs and result is not LEFT_OUT:
            self.times.append(now - item.began)
        self._pending.update(item.jobs)
        self._outcomes.ended(item, result)

    def free_lanes(self, ended: Ended) -> None:
        """Let the next records of the lanes of these begin, while these stay in hand."""
        jobs: Sequence[Job] = ended.jobs
        self._staged.update(jobs)
        for job in jobs:
            batch = job.batch
            if batch is None:
                self._lanes.free(job, self.now)
            else:
                job.batch = None  # a cycle
                batch.open -= 1
                if not batch.open:
                    self._lanes.free(batch, self._clock())
        self._wake()

    def left(self, job: Job, *, frees_lane: bool = True) -> None:
        """Forget a record that has left, and let the next one of its lane begin."""
        super().left(job, frees_lane=frees_lane and job not in self._staged)
        self._staged.discard(job)
