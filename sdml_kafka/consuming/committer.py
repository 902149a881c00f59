"""Commits of what has finished, one at a time, and the actor that commits when one is due."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from logging import DEBUG, WARNING

import anyio

from sdml_kafka.consuming.commit_schedule import AutoCommit, CommitSchedule
from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.consuming.offsets.tenancy import Progress
from sdml_kafka.errors import CommitFailed, CommitRejected, SdmlKafkaError
from sdml_kafka.hooks.batches import CommitHooks
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit, ConsumerSettings

COMMIT_TIMEOUT_S = 5.0
"""Seconds that a commit may take when no rebalance and no leaving waits for it."""
MIN_COMMIT_TIMEOUT_S = 0.1
"""Seconds that a commit gets at least, however late its turn comes."""
RETRY_S = 1.0
"""Seconds between a commit that failed and the next one."""


class Committer:
    """Commits what has finished. The scheduler, the consumer loop and the user take turns."""

    def __init__(
        self,
        ledger: Ledger,
        current: CurrentConsumer,
        choose_policy: Callable[[ConsumerSettings], AutoCommit | None],
        log: RateLimitedLog,
        hooks: CommitHooks,
        flush: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without a commit under way.

        Args:
            ledger: Knows what has finished.
            current: The consumer to commit with.
            choose_policy: Returns when to commit, given a consumer's settings; None if only the
                user's own calls commit, even when partitions are revoked or the listener is left.
            log: The log of the part that this committer works for.
            hooks: Observe commits.
            flush: Brings the ledger up to date with the readers that have records in hand.
        """
        self._ledger = ledger
        self._current = current
        self._choose_policy = choose_policy
        self._log = log
        self._flush = flush
        self.hooks: CommitHooks = hooks
        """Observe commits, also those of transactions."""
        self._lock = anyio.Lock()

    @property
    def policy(self) -> AutoCommit | None:
        """When to commit; None if only the user's own calls do, or there was no consumer yet."""
        settings = self._current.settings
        return None if settings is None else self._choose_policy(settings)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Let nobody else commit inside of the context, for whoever commits in a transaction.

        The ledger is up to date when it begins.
        """
        async with self._lock:
            self._flush()
            yield

    async def commit(self, timeout_s: float = COMMIT_TIMEOUT_S) -> None:
        """Commit what has finished.

        Raises:
            CommitFailed: The commit did not get through in time, or there is no consumer.
            CommitRejected: The partitions belong to a later assignment.
            AuthorizationFailed: The broker does not allow it.
        """
        deadline = anyio.current_time() + timeout_s
        with anyio.move_on_after(timeout_s) as waiting:
            await self._lock.acquire()
        if waiting.cancelled_caught:
            raise CommitFailed(f"An earlier commit is still under way after {timeout_s:g} s")
        try:
            await self._commit(deadline)
        finally:
            self._lock.release()

    async def commit_by_policy(self, timeout_s: float) -> None:
        """Commit what has finished unless only the user's own calls commit; log a failure."""
        if self.policy is None:
            return
        try:
            await self.commit(timeout_s)
        except CommitFailed as error:
            text = "the last finished records were not committed, so they will come again: %s"
            self._log.log(WARNING, "last commit", text, error, extra=fields(error=error))

    async def _commit(self, deadline: float) -> None:
        self._flush()
        moves = self._ledger.committable()
        while moves:
            try:
                await self._send(moves, deadline)
            except CommitRejected:
                left = self._ledger.still_open(moves)
                if len(left) == len(moves) or not left:
                    raise
                moves = left  # some were given away meanwhile, which costs the others nothing
            else:
                for key, progress in moves.items():
                    self._ledger.committed(*key, progress)
                return

    async def _send(self, moves: Mapping[tuple[str, int], Progress], deadline: float) -> None:
        epoch = max(progress.epoch for progress in moves.values())
        commits = {
            TopicPartition(*key): Commit(progress.offset, progress.map)
            for key, progress in moves.items()
        }
        since, consumer = anyio.current_time(), self._current.consumer
        try:
            if consumer is None:
                raise CommitFailed("The consumer is being restarted: try again in a moment")
            await consumer.commit(epoch, commits, max(MIN_COMMIT_TIMEOUT_S, deadline - since))
        except SdmlKafkaError as error:
            self.hooks.failed(commits, anyio.current_time() - since, error)
            raise
        self.hooks.committed(commits, anyio.current_time() - since)


class CommitScheduler(Actor):
    """Commits whenever the policy says so. Starts after the consumer loop, which connects."""

    def __init__(
        self,
        committer: Committer,
        ledger: Ledger,
        log: RateLimitedLog,
        is_connected: Callable[[], bool],
    ) -> None:
        self._committer = committer
        self._ledger = ledger
        self._log = log
        self._is_connected = is_connected

    async def run(self, life: Life) -> None:
        """Wait until a commit is due, commit, and so on."""
        schedule = CommitSchedule(
            self._committer.policy, anyio.current_time(), self._ledger.finishes.count
        )
        life.started()
        with life.cancel_on_stop():
            while True:
                await self._wait_due(schedule)
                await self._commit(schedule)

    async def _wait_due(self, schedule: CommitSchedule) -> None:
        while not schedule.is_due(anyio.current_time(), self._ledger.finishes.count):
            due = anyio.Event()
            count, at = schedule.due_count(), schedule.due_at()
            if count is not None:
                self._ledger.finishes.notify_when(count, due.set)
            timeout_s = None if at is None else max(0.0, at - anyio.current_time())
            with anyio.move_on_after(timeout_s):
                await due.wait()

    async def _commit(self, schedule: CommitSchedule) -> None:
        finished = self._ledger.finishes.count
        try:
            await self._committer.commit()
        except CommitRejected:
            pass  # the partitions are being revoked, and the consumer loop commits them itself
        except CommitFailed as error:
            # The log says of an outage that there is one; a commit that fails in it is no news.
            level = WARNING if self._is_connected() else DEBUG
            text = "a commit failed and will be tried again: %s"
            self._log.log(level, f"commit {level}", text, error, extra=fields(error=error))
            schedule.failed(anyio.current_time(), RETRY_S)
            return
        schedule.committed(anyio.current_time(), finished)
